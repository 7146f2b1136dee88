"""DIST (Huang, You, Wang, Qian, Xu 2022, arXiv:2205.10536)."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from decant.interfaces import BuildContext
from decant.losses import dist_terms
from decant.methods.checks import require_temperature, require_warmup, require_weights
from decant.methods.logit_method import LogitMethod
from decant.methods.source import Source


@dataclass(frozen=True)
class DISTSettings:
    """Settings of :class:`DIST`: ``task_weight`` CE + ``inter_weight`` inter + ``intra_weight`` intra."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}
    source: ClassVar[Source] = Source(2022, "arXiv:2205.10536")

    name: Literal["dist"] = "dist"
    task_weight: float = 1.0
    inter_weight: float = 2.0
    """Weight of the relation over the classes of a sample."""
    intra_weight: float = 2.0
    """Weight of the relation over the samples of a class."""
    temperature: float = 4.0
    warmup: int = 0
    """Epochs over which both weights rise linearly to their values; 0 for none."""

    def __post_init__(self) -> None:
        """Refuse values that no training can use."""
        require_weights(task_weight=self.task_weight, inter_weight=self.inter_weight, intra_weight=self.intra_weight)
        require_temperature(self.temperature)
        require_warmup(self.warmup)

    def build(self, context: BuildContext) -> "DIST":
        """The method; it needs nothing of the context."""
        return DIST(self)


class DIST(LogitMethod):
    """Terms ``hard`` (nats), ``inter`` and ``intra`` (T^2 times one minus a correlation)."""

    gather = True

    def __init__(self, settings: DISTSettings) -> None:
        weights = {"inter": settings.inter_weight, "intra": settings.intra_weight}
        super().__init__(settings.task_weight, weights, settings.warmup)
        self.temperature = settings.temperature

    def compare(self, student: Tensor, teacher: Tensor, target: Tensor | None) -> dict[str, Tensor]:
        """Both relations."""
        return dist_terms(student, teacher, temperature=self.temperature)._asdict()
