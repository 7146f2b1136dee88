"""Norm and direction of features (Wang, Cheng, Duan, Wang, Feng, Kong 2023, arXiv:2305.17007)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from decant.interfaces import UNLABELLED, Batch, BuildContext, Outputs
from decant.losses import nd_loss
from decant.losses.features import full_precision, unit
from decant.methods.checks import require_weights
from decant.methods.feature_method import FeatureMethod
from decant.methods.source import Source
from decant.methods.stages import paired_vectors
from decant.methods.task import taught_target


@dataclass(frozen=True)
class NDSettings:
    """Settings of :class:`ND`: ``task_weight`` CE + ``weight`` ND.

    The default is the weight that the authors' code has beside KD for resnet32x4 -> resnet8x4; beside DKD it has 0.5.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}
    source: ClassVar[Source] = Source(2023, "arXiv:2305.17007")

    name: Literal["nd"] = "nd"
    task_weight: float = 1.0
    weight: float = 2.0

    def __post_init__(self) -> None:
        """Refuse values that no training can use."""
        require_weights(task_weight=self.task_weight, weight=self.weight)

    def build(self, context: BuildContext) -> "ND":
        """The method, with a linear map for the student's pooled feature where it is not as long as the teacher's."""
        ((student, teacher),) = paired_vectors(context, self.name, ("pooled",))
        assert context.teacher_shapes is not None, "without shapes there are no vectors"
        return ND(self, student[0], teacher[0], classes=context.teacher_shapes.logits[0])


class ND(FeatureMethod):
    """Terms ``hard`` (nats) and ``nd``: the pooled feature along the direction of the teacher's class mean."""

    directions: Tensor

    def __init__(self, settings: NDSettings, width: int, teacher_width: int, *, classes: int) -> None:
        super().__init__(settings, ("pooled",))
        self.adapter = nn.Identity() if width == teacher_width else nn.Linear(width, teacher_width)
        # Saved, so that a run that goes on need not ask the teacher again.
        self.register_buffer("directions", torch.full((classes, teacher_width), torch.nan))

    def prepare(self, teacher_outputs: Iterator[tuple[Outputs, Batch]]) -> None:
        """The directions of the class means over labelled samples; a class without any has none."""
        sums = torch.zeros_like(self.directions, dtype=torch.float64)
        for outputs, batch in teacher_outputs:
            if batch.target is None or batch.target.is_floating_point():
                raise ValueError("nd works out the teacher's class means: it needs the class index of every sample")
            labelled = batch.target != UNLABELLED
            sums.index_add_(0, batch.target[labelled], outputs.taps["pooled"][labelled].double())
        self.directions.copy_(unit(sums, dim=1))  # a sum points where its mean does

    def compare(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        """The loss along the direction of each sample's class; of the teacher's choice where it has no label."""
        self._check()
        target = taught_target(teacher.logits, batch)
        classes = teacher.logits.argmax(dim=1) if target is None else target
        if classes.is_floating_point():
            with full_precision(self.directions):
                direction = classes.to(self.directions) @ self.directions
        else:
            direction = self.directions[classes]
        return nd_loss(self.adapter(student.taps["pooled"]), teacher.taps["pooled"], direction)

    def _check(self) -> None:
        """Refuse to train along directions that nobody worked out."""
        known = ~self.directions[0, 0].isnan()
        expected = "nd needs the teacher's class means: call distiller.prepare(batches) once before the first step"
        if known.is_cuda or torch.compiler.is_compiling():
            torch._assert_async(known, expected)
        elif not known:
            raise ValueError(expected)
