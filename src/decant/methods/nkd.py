"""Normalised knowledge distillation (Yang, Zeng, Li, Zhang, Yuan, Li 2023, arXiv:2303.13005)."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from decant.interfaces import BuildContext
from decant.losses import nkd_terms
from decant.methods.checks import require_temperature, require_warmup, require_weights
from decant.methods.logit_method import LogitMethod
from decant.methods.source import Source


@dataclass(frozen=True)
class NKDSettings:
    """Settings of :class:`NKD`: ``task_weight`` CE + ``weight`` (target + ``gamma`` others).

    The defaults are those of the paper for ImageNet.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}
    source: ClassVar[Source] = Source(2023, "arXiv:2303.13005")

    name: Literal["nkd"] = "nkd"
    task_weight: float = 1.0
    weight: float = 1.0
    gamma: float = 1.5
    """Weight of the other classes beside the target."""
    temperature: float = 1.0
    """T of the other classes; the target's is 1."""
    warmup: int = 0
    """Epochs over which both weights rise linearly to their values; 0 for none."""

    def __post_init__(self) -> None:
        """Refuse values that no training can use."""
        require_weights(task_weight=self.task_weight, weight=self.weight, gamma=self.gamma)
        require_temperature(self.temperature)
        require_warmup(self.warmup)

    def build(self, context: BuildContext) -> "NKD":
        """The method; it needs nothing of the context."""
        return NKD(self)


class NKD(LogitMethod):
    """Terms ``hard``, ``target`` and ``others`` (T^2 included), all in nats; the last two are cross-entropies."""

    one_class = True

    def __init__(self, settings: NKDSettings) -> None:
        weights = {"target": settings.weight, "others": settings.weight * settings.gamma}
        super().__init__(settings.task_weight, weights, settings.warmup)
        self.temperature = settings.temperature

    def compare(self, student: Tensor, teacher: Tensor, target: Tensor | None) -> dict[str, Tensor]:
        """Both parts."""
        return nkd_terms(student, teacher, target, temperature=self.temperature)._asdict()
