"""Refined logit distillation (Sun, Chen, Lyu, Chen, Chen, Wang 2025, arXiv:2408.07703)."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from decant.interfaces import BuildContext
from decant.losses import rld_terms
from decant.methods.checks import require_positive, require_temperature, require_warmup, require_weights
from decant.methods.logit_method import LogitMethod
from decant.methods.source import Source


@dataclass(frozen=True)
class RLDSettings:
    """Settings of :class:`RLD`: ``task_weight`` CE + ``alpha`` confidence + ``beta`` correlation.

    The defaults are those of the authors' code for CIFAR-100.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}
    source: ClassVar[Source] = Source(2025, "arXiv:2408.07703")

    name: Literal["rld"] = "rld"
    task_weight: float = 1.0
    alpha: float = 1.0
    beta: float = 8.0
    temperature: float = 4.0
    confidence_temperature: float = 1.0
    """Temperature of the confidence, in both networks."""
    warmup: int = 20
    """Epochs over which ``alpha`` and ``beta`` rise linearly to their values; 0 for none."""

    def __post_init__(self) -> None:
        """Refuse values that no training can use."""
        require_weights(task_weight=self.task_weight, alpha=self.alpha, beta=self.beta)
        require_temperature(self.temperature)
        require_positive(confidence_temperature=self.confidence_temperature)
        require_warmup(self.warmup)

    def build(self, context: BuildContext) -> "RLD":
        """The method; it needs nothing of the context."""
        return RLD(self)


class RLD(LogitMethod):
    """Terms ``hard``, ``confidence`` and ``correlation`` (T^2 included), all in nats."""

    one_class = True

    def __init__(self, settings: RLDSettings) -> None:
        super().__init__(
            settings.task_weight, {"confidence": settings.alpha, "correlation": settings.beta}, settings.warmup
        )
        self.temperatures = (settings.temperature, settings.confidence_temperature)

    def compare(self, student: Tensor, teacher: Tensor, target: Tensor | None) -> dict[str, Tensor]:
        """Both parts."""
        t, tau = self.temperatures
        return rld_terms(student, teacher, target, temperature=t, confidence_temperature=tau)._asdict()
