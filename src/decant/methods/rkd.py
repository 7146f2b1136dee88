"""Relational knowledge distillation (Park, Kim, Lu, Cho 2019, arXiv:1904.05068)."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from decant.interfaces import Batch, BuildContext, Outputs
from decant.losses import rkd_loss
from decant.methods.checks import require_weights
from decant.methods.feature_method import FeatureMethod
from decant.methods.source import Source


@dataclass(frozen=True)
class RKDSettings:
    """Settings of :class:`RKD`: ``task_weight`` CE + ``weight`` RKD; the CIFAR-100 protocol's defaults."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}
    source: ClassVar[Source] = Source(2019, "arXiv:1904.05068")

    name: Literal["rkd"] = "rkd"
    task_weight: float = 1.0
    weight: float = 1.0
    distance_weight: float = 25.0
    """Weight of the distances of pairs inside RKD."""
    angle_weight: float = 50.0
    """Weight of the angles of triplets inside RKD."""

    def __post_init__(self) -> None:
        """Refuse values that no training can use."""
        require_weights(task_weight=self.task_weight, weight=self.weight)
        require_weights(distance_weight=self.distance_weight, angle_weight=self.angle_weight)

    def build(self, context: BuildContext) -> "RKD":
        """The method; it needs nothing of the context."""
        return RKD(self)


class RKD(FeatureMethod):
    """Terms ``hard`` and ``rkd``: distances and angles between the samples of the batch, by the pooled feature."""

    gather = True

    def __init__(self, settings: RKDSettings) -> None:
        super().__init__(settings, ("pooled",))
        self.relations = (settings.distance_weight, settings.angle_weight)

    def compare(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        """Both relations, weighted."""
        return rkd_loss(student.taps["pooled"], teacher.taps["pooled"], *self.relations)
