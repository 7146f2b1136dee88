"""Classical knowledge distillation (Hinton, Vinyals, Dean 2015, arXiv:1503.02531)."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from decant.interfaces import Batch, BuildContext, Method, Outputs
from decant.losses import kd_loss, standardise_logits
from decant.methods.checks import require_flag, require_temperature, require_warmup, require_weights
from decant.methods.source import Source
from decant.methods.task import hard_loss
from decant.methods.warmup import linear_warmup


@dataclass(frozen=True)
class KDSettings:
    """Settings of :class:`KD`: ``task_weight`` CE + ``weight`` T^2 KL(teacher || student).

    The defaults are those of the CIFAR-100 protocol. ``task_weight = 1`` with a larger ``weight`` and DKD's ``warmup``
    is the weight-matched control that a claim about decoupling needs.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}
    source: ClassVar[Source] = Source(2015, "arXiv:1503.02531")

    name: Literal["kd"] = "kd"
    task_weight: float = 0.1
    weight: float = 0.9
    temperature: float = 4.0
    warmup: int = 0
    """Epochs over which ``weight`` rises linearly to its value; 0 for none."""
    standardise: bool = False
    """Whether both networks' logits are first brought to mean 0 and standard deviation 1 (arXiv:2403.01427)."""

    def __post_init__(self) -> None:
        """Refuse values that no training can use."""
        require_weights(task_weight=self.task_weight, weight=self.weight)
        require_temperature(self.temperature)
        require_warmup(self.warmup)
        require_flag(standardise=self.standardise)

    def build(self, context: BuildContext) -> "KD":
        """The method; it needs nothing of the context."""
        return KD(self)


class KD(Method):
    """Terms ``hard`` (cross-entropy) and ``kd`` (T^2 KL of the softened teacher and student), both in nats."""

    def __init__(self, settings: KDSettings) -> None:
        super().__init__()
        self.settings = settings

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        """The terms of this batch."""
        own, goal = student.logits, teacher.logits
        if self.settings.standardise:
            own, goal = standardise_logits(own), standardise_logits(goal)
        soft = kd_loss(own, goal, temperature=self.settings.temperature, reduction="mean")
        return {"hard": hard_loss(student, batch, self.settings.task_weight), "kd": soft}

    def weights(self, epoch: float) -> dict[str, float]:
        """``weight`` times the warm-up for ``kd``."""
        settings = self.settings
        return {"hard": settings.task_weight, "kd": settings.weight * linear_warmup(epoch, settings.warmup)}
