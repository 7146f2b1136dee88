"""Attention transfer (Zagoruyko, Komodakis 2017, arXiv:1612.03928)."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from decant.interfaces import Batch, BuildContext, Outputs
from decant.losses import at_loss
from decant.methods.checks import require_weights
from decant.methods.feature_method import FeatureMethod
from decant.methods.source import Source
from decant.methods.stages import paired_stages


@dataclass(frozen=True)
class ATSettings:
    """Settings of :class:`AT`: ``task_weight`` CE + ``weight`` AT; the CIFAR-100 protocol's defaults."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}
    source: ClassVar[Source] = Source(2017, "arXiv:1612.03928")

    name: Literal["at"] = "at"
    task_weight: float = 1.0
    weight: float = 1000.0
    power: float = 2.0
    """To which an activation's absolute value is raised, at least 1."""

    def __post_init__(self) -> None:
        """Refuse values that no training can use."""
        require_weights(task_weight=self.task_weight, weight=self.weight)
        if not 1 <= self.power < math.inf:
            raise ValueError(f"power must be finite and at least 1, got {self.power}")

    def build(self, context: BuildContext) -> "AT":
        """The method, on all stages after the stem."""
        return AT(self, paired_stages(context, self.name)).on_maps(context)


class AT(FeatureMethod):
    """Terms ``hard`` and ``at``: where in the image each stage is active; stages of any channels and sizes."""

    def __init__(self, settings: ATSettings, taps: tuple[str, ...]) -> None:
        super().__init__(settings, taps)
        self.power = settings.power

    def compare(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        """The attention loss, summed over the stages."""
        return at_loss(*self.stages(student, teacher), power=self.power)
