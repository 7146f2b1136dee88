"""Transformed teacher matching (Zheng, Yang 2024, arXiv:2402.11148)."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from decant.interfaces import BuildContext
from decant.losses import ttm_loss
from decant.methods.checks import require_flag, require_positive, require_warmup, require_weights
from decant.methods.logit_method import LogitMethod
from decant.methods.source import Source


@dataclass(frozen=True)
class TTMSettings:
    """Settings of :class:`TTM`: ``task_weight`` CE + ``weight`` TTM.

    The defaults are those of the authors' example, TTM on vgg13 -> vgg8.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}
    source: ClassVar[Source] = Source(2024, "arXiv:2402.11148")

    name: Literal["ttm"] = "ttm"
    task_weight: float = 1.0
    weight: float = 45.0
    gamma: float = 0.1
    """Exponent of the teacher's probabilities: its temperature is 1 / gamma, the student's 1."""
    weighted: bool = False
    """Whether a sample counts the more, the less sure the teacher is of it (WTTM)."""
    warmup: int = 0
    """Epochs over which ``weight`` rises linearly to its value; 0 for none."""

    def __post_init__(self) -> None:
        """Refuse values that no training can use."""
        require_weights(task_weight=self.task_weight, weight=self.weight)
        require_positive(gamma=self.gamma)
        require_flag(weighted=self.weighted)
        require_warmup(self.warmup)

    def build(self, context: BuildContext) -> "TTM":
        """The method; it needs nothing of the context."""
        return TTM(self)


class TTM(LogitMethod):
    """Terms ``hard`` and ``ttm``, both in nats."""

    def __init__(self, settings: TTMSettings) -> None:
        super().__init__(settings.task_weight, {"ttm": settings.weight}, settings.warmup)
        self.settings = settings

    def compare(self, student: Tensor, teacher: Tensor, target: Tensor | None) -> dict[str, Tensor]:
        """The divergence from the transformed teacher."""
        return {"ttm": ttm_loss(student, teacher, gamma=self.settings.gamma, weighted=self.settings.weighted)}
