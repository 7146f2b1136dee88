"""Cross-view consistency regularisation (Zhang, Liu, Cai, Ma 2024, arXiv:2412.16493)."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from decant.interfaces import BuildContext
from decant.losses import crld_terms
from decant.methods.checks import require_shares, require_temperature, require_warmup, require_weights
from decant.methods.source import Source
from decant.methods.two_view_method import Pair, TwoViewMethod


@dataclass(frozen=True)
class CRLDSettings:
    """Settings of :class:`CRLD`: ``task_weight`` CE of both views, and two parts, each with a weight of its own.

    The defaults are those of the authors' code for CIFAR-100.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}
    source: ClassVar[Source] = Source(2024, "arXiv:2412.16493")

    name: Literal["crld"] = "crld"
    task_weight: float = 1.0
    within_weight: float = 2.0
    """Weight of the teacher's answers to the view that the student sees."""
    across_weight: float = 0.5
    """Weight of the teacher's answers to the other view."""
    weak_confidence: float = 0.9
    """The teacher's confidence in the weak view from which on a sample counts within views."""
    strong_confidence: float = 0.2
    """The teacher's confidence in the strong view from which on a sample counts across views."""
    temperature: float = 4.0
    warmup: int = 0
    """Epochs over which both weights rise linearly to their values; 0 for none."""

    def __post_init__(self) -> None:
        """Refuse values that no training can use."""
        require_weights(task_weight=self.task_weight)
        require_weights(within_weight=self.within_weight, across_weight=self.across_weight)
        require_shares(weak_confidence=self.weak_confidence, strong_confidence=self.strong_confidence)
        require_temperature(self.temperature)
        require_warmup(self.warmup)

    def build(self, context: BuildContext) -> "CRLD":
        """The method; it needs nothing of the context."""
        return CRLD(self)


class CRLD(TwoViewMethod):
    """Terms ``hard``, ``within`` and ``across`` (T^2 included), all in nats and of both views."""

    def __init__(self, settings: CRLDSettings) -> None:
        weights = {"within": settings.within_weight, "across": settings.across_weight}
        super().__init__(settings.task_weight, weights, settings.warmup)
        self.settings = settings

    def compare(self, students: Pair, teachers: Pair) -> dict[str, Tensor]:
        """Both parts."""
        return crld_terms(
            students,
            teachers,
            weak_confidence=self.settings.weak_confidence,
            strong_confidence=self.settings.strong_confidence,
            temperature=self.settings.temperature,
        )._asdict()
