"""Similarity-preserving distillation (Tung, Mori 2019, arXiv:1907.09682)."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from decant.interfaces import Batch, BuildContext, Outputs
from decant.losses import sp_loss
from decant.methods.checks import require_weights
from decant.methods.feature_method import FeatureMethod
from decant.methods.source import Source
from decant.methods.stages import paired_stages


@dataclass(frozen=True)
class SPSettings:
    """Settings of :class:`SP`: ``task_weight`` CE + ``weight`` SP; the CIFAR-100 protocol's defaults."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}
    source: ClassVar[Source] = Source(2019, "arXiv:1907.09682")

    name: Literal["sp"] = "sp"
    task_weight: float = 1.0
    weight: float = 3000.0

    def __post_init__(self) -> None:
        """Refuse values that no training can use."""
        require_weights(task_weight=self.task_weight, weight=self.weight)

    def build(self, context: BuildContext) -> "SP":
        """The method, on the last stage."""
        return SP(self, paired_stages(context, self.name)[-1:])


class SP(FeatureMethod):
    """Terms ``hard`` and ``sp``: which samples of the batch are alike, by the last stage's features."""

    gather = True

    def compare(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        """The distance of the similarity matrices."""
        return sp_loss(student.taps[self.taps[0]], teacher.taps[self.taps[0]])
