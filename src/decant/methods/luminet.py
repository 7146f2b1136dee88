"""LumiNet (Hossain, Elahi, Ramasinghe, Cheraghian, Rahman, Mohammed, Rahman 2023, arXiv:2310.03669)."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from decant.interfaces import BuildContext
from decant.losses import luminet_loss
from decant.methods.checks import require_temperature, require_warmup, require_weights
from decant.methods.logit_method import LogitMethod
from decant.methods.source import Source


@dataclass(frozen=True)
class LumiNetSettings:
    """Settings of :class:`LumiNet`: ``task_weight`` CE + ``weight`` T^2 KL of logits standardised over the batch.

    The defaults are the authors' for resnet32x4 -> resnet8x4: their alpha is 34 and stands squared in place of T^2,
    which makes the weight 34^2 / 4^2.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}
    source: ClassVar[Source] = Source(2023, "arXiv:2310.03669")

    name: Literal["luminet"] = "luminet"
    task_weight: float = 2.0
    weight: float = 72.25
    temperature: float = 4.0
    warmup: int = 20
    """Epochs over which ``weight`` rises linearly to its value; 0 for none."""

    def __post_init__(self) -> None:
        """Refuse values that no training can use."""
        require_weights(task_weight=self.task_weight, weight=self.weight)
        require_temperature(self.temperature)
        require_warmup(self.warmup)

    def build(self, context: BuildContext) -> "LumiNet":
        """The method; it needs nothing of the context."""
        return LumiNet(self)


class LumiNet(LogitMethod):
    """Terms ``hard`` and ``luminet`` (T^2 included), both in nats."""

    gather = True

    def __init__(self, settings: LumiNetSettings) -> None:
        super().__init__(settings.task_weight, {"luminet": settings.weight}, settings.warmup)
        self.temperature = settings.temperature

    def compare(self, student: Tensor, teacher: Tensor, target: Tensor | None) -> dict[str, Tensor]:
        """The divergence of the standardised logits."""
        return {"luminet": luminet_loss(student, teacher, temperature=self.temperature)}
