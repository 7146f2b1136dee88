"""Contrastive representation distillation (Tian, Krishnan, Isola 2020, arXiv:1910.10699)."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from decant.interfaces import UNLABELLED, Batch, BuildContext, Outputs, Processes
from decant.methods.adapters import Embedding
from decant.methods.checks import require_positive, require_weights, require_whole
from decant.methods.contrast import Contrast
from decant.methods.feature_method import FeatureMethod
from decant.methods.source import Source
from decant.methods.stages import paired_vectors


@dataclass(frozen=True)
class CRDSettings:
    """Settings of :class:`CRD`: ``task_weight`` CE + ``weight`` (NCE + NCE); the CIFAR-100 protocol's defaults."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}
    source: ClassVar[Source] = Source(2020, "arXiv:1910.10699")

    name: Literal["crd"] = "crd"
    task_weight: float = 1.0
    weight: float = 0.8
    dimension: int = 128
    """Of the space in which both networks' pooled features are compared."""
    negatives: int = 16384
    """Samples of other classes that each sample is told from."""
    momentum: float = 0.5
    """Share of the old feature in what is remembered of a sample."""
    temperature: float = 0.07

    def __post_init__(self) -> None:
        """Refuse values that no training can use."""
        require_weights(task_weight=self.task_weight, weight=self.weight)
        require_whole(1, dimension=self.dimension, negatives=self.negatives)
        require_positive(temperature=self.temperature)
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must be in [0, 1), got {self.momentum}")

    def build(self, context: BuildContext) -> "CRD":
        """The method, with embeddings for the pooled features and a memory of the training set."""
        ((student, teacher),) = paired_vectors(context, self.name, ("pooled",))
        if context.facts is None:
            raise ValueError("crd remembers every training sample: give facts about the training set (DataFacts)")
        if unlabelled := int((context.facts.targets == UNLABELLED).sum()):
            raise ValueError(
                "crd tells every training sample from those of other classes, so each must carry a label; "
                f"{unlabelled:,} of {context.facts.size:,} carry none: leave those out, or take another method"
            )
        contrast = Contrast(
            context.facts.targets,
            self.dimension,
            negatives=self.negatives,
            momentum=self.momentum,
            temperature=self.temperature,
        )
        return CRD(self, Embedding(student[0], self.dimension), Embedding(teacher[0], self.dimension), contrast)


class CRD(FeatureMethod):
    """Terms ``hard`` and ``crd`` (nats): tell a sample's feature in the other network from those of strangers."""

    gather = True
    needs_index = True
    one_class = True  # strangers are of other classes than it

    def __init__(self, settings: CRDSettings, student: Embedding, teacher: Embedding, contrast: Contrast) -> None:
        super().__init__(settings, ("pooled",))
        self.student_embedding, self.teacher_embedding = student, teacher
        self.contrast = contrast

    def compare(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        """The contrast, both directions added."""
        self._check(batch)
        own, other = self.student_embedding(student.taps["pooled"]), self.teacher_embedding(teacher.taps["pooled"])
        loss: Tensor = self.contrast(own, other, batch.index)
        return loss

    def divide(self, processes: Processes) -> None:
        """Every process remembers its share of the training set, and compares with that."""
        self.contrast.divide(processes)

    def _check(self, batch: Batch) -> None:
        """Refuse an index that leads to other samples: the memory would mix them up without a sign."""
        targets, index = self.contrast.targets, batch.index
        known = (index >= 0) & (index < len(targets))
        if batch.target is not None and not batch.target.is_floating_point():
            known = known & (targets[index.clamp(0, len(targets) - 1)] == batch.target)
        expected = "batch.index must be each sample's position in the training set that crd was built for"
        if index.is_cuda or torch.compiler.is_compiling():
            torch._assert_async(known.all(), expected)
        elif not known.all():
            raise ValueError(f"{expected}; position {index[~known][0].item()} is outside, or a sample of another class")
