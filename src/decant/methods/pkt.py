"""Probabilistic knowledge transfer (Passalis, Tefas 2018, arXiv:1803.10837)."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from decant.interfaces import Batch, BuildContext, Outputs
from decant.losses import pkt_loss
from decant.methods.checks import require_weights
from decant.methods.feature_method import FeatureMethod
from decant.methods.source import Source


@dataclass(frozen=True)
class PKTSettings:
    """Settings of :class:`PKT`: ``task_weight`` CE + ``weight`` PKT; the CIFAR-100 protocol's defaults."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}
    source: ClassVar[Source] = Source(2018, "arXiv:1803.10837")

    name: Literal["pkt"] = "pkt"
    task_weight: float = 1.0
    weight: float = 30000.0

    def __post_init__(self) -> None:
        """Refuse values that no training can use."""
        require_weights(task_weight=self.task_weight, weight=self.weight)

    def build(self, context: BuildContext) -> "PKT":
        """The method; it needs nothing of the context."""
        return PKT(self, ("pooled",))


class PKT(FeatureMethod):
    """Terms ``hard`` and ``pkt`` (nats): who is whose neighbour in the batch, by the pooled feature."""

    gather = True

    def compare(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        """The divergence of the neighbourhoods."""
        return pkt_loss(student.taps["pooled"], teacher.taps["pooled"])
