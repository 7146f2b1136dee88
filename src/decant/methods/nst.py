"""Neuron selectivity transfer (Huang, Wang 2017, arXiv:1707.01219)."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from decant.interfaces import Batch, BuildContext, Outputs
from decant.losses import nst_loss
from decant.methods.checks import require_weights
from decant.methods.feature_method import FeatureMethod
from decant.methods.source import Source
from decant.methods.stages import paired_stages


@dataclass(frozen=True)
class NSTSettings:
    """Settings of :class:`NST`: ``task_weight`` CE + ``weight`` NST; the CIFAR-100 protocol's defaults."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}
    source: ClassVar[Source] = Source(2017, "arXiv:1707.01219")

    name: Literal["nst"] = "nst"
    task_weight: float = 1.0
    weight: float = 50.0

    def __post_init__(self) -> None:
        """Refuse values that no training can use."""
        require_weights(task_weight=self.task_weight, weight=self.weight)

    def build(self, context: BuildContext) -> "NST":
        """The method, on all stages after the stem."""
        return NST(self, paired_stages(context, self.name)).on_maps(context)


class NST(FeatureMethod):
    """Terms ``hard`` and ``nst``: the places where channels are active together; stages of any channels and sizes."""

    def compare(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        """The discrepancy, summed over the stages."""
        return nst_loss(*self.stages(student, teacher))
