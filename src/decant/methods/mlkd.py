"""Multi-level logit distillation (Jin, Wang, Lin, CVPR 2023)."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from decant.interfaces import BuildContext
from decant.losses import mlkd_terms
from decant.methods.checks import require_temperature, require_warmup, require_weights
from decant.methods.source import Source
from decant.methods.two_view_method import Pair, TwoViewMethod


@dataclass(frozen=True)
class MLKDSettings:
    """Settings of :class:`MLKD`: ``task_weight`` CE of both views, and four parts, each with a weight of its own.

    The defaults are what the authors' code for CIFAR-100 comes to: 0.1 and 0.9, the latter halved on the weak view.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}
    source: ClassVar[Source] = Source(2023, "CVPR 2023")

    name: Literal["mlkd"] = "mlkd"
    task_weight: float = 0.1
    weak_weight: float = 0.45
    """Weight of classical distillation on the weak view."""
    strong_weight: float = 0.9
    """Weight of classical distillation on the strong view."""
    class_weight: float = 0.45
    """Weight of how classes relate over the batch."""
    sample_weight: float = 0.45
    """Weight of how the samples of the batch relate."""
    temperatures: tuple[float, ...] = (2.0, 3.0, 4.0, 5.0, 6.0)
    """All that the parts are summed over."""
    warmup: int = 0
    """Epochs over which the four weights rise linearly to their values; 0 for none."""

    def __post_init__(self) -> None:
        """Refuse values that no training can use."""
        require_weights(task_weight=self.task_weight, weak_weight=self.weak_weight, strong_weight=self.strong_weight)
        require_weights(class_weight=self.class_weight, sample_weight=self.sample_weight)
        if not self.temperatures:
            raise ValueError("temperatures must be at least one number, got none")
        for temperature in self.temperatures:
            require_temperature(temperature)
        require_warmup(self.warmup)

    def build(self, context: BuildContext) -> "MLKD":
        """The method; it needs nothing of the context."""
        return MLKD(self)


class MLKD(TwoViewMethod):
    """Terms ``hard`` (nats), ``weak`` and ``strong`` (T^2 times nats), ``classes`` and ``samples`` (squares)."""

    gather = True

    def __init__(self, settings: MLKDSettings) -> None:
        weights = {
            "weak": settings.weak_weight,
            "strong": settings.strong_weight,
            "classes": settings.class_weight,
            "samples": settings.sample_weight,
        }
        super().__init__(settings.task_weight, weights, settings.warmup)
        self.temperatures = settings.temperatures

    def compare(self, students: Pair, teachers: Pair) -> dict[str, Tensor]:
        """All four parts."""
        return mlkd_terms(students, teachers, temperatures=self.temperatures)._asdict()
