"""Decoupled knowledge distillation (Zhao, Cui, Song, Qiu, Liang 2022, arXiv:2203.08679)."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from decant.interfaces import Batch, BuildContext, Method, Outputs
from decant.losses import dkd_terms, standardise_logits
from decant.methods.checks import require_flag, require_temperature, require_warmup, require_weights
from decant.methods.source import Source
from decant.methods.task import hard_loss, taught_target
from decant.methods.warmup import linear_warmup


@dataclass(frozen=True)
class DKDSettings:
    """Settings of :class:`DKD`: ``task_weight`` CE + ``alpha`` TCKD + ``beta`` NCKD.

    The defaults are those of the CIFAR-100 protocol for resnet32x4 -> resnet8x4. The paper's beta goes from 2
    (resnet56 -> resnet20) to 8: larger where the teacher is surer of its target classes.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}
    source: ClassVar[Source] = Source(2022, "arXiv:2203.08679")

    name: Literal["dkd"] = "dkd"
    task_weight: float = 1.0
    alpha: float = 1.0
    beta: float = 8.0
    temperature: float = 4.0
    warmup: int = 20
    """Epochs over which ``alpha`` and ``beta`` rise linearly to their values; 0 for none."""
    standardise: bool = False
    """Whether both networks' logits are first brought to mean 0 and standard deviation 1 (arXiv:2403.01427)."""

    def __post_init__(self) -> None:
        """Refuse values that no training can use."""
        require_weights(task_weight=self.task_weight, alpha=self.alpha, beta=self.beta)
        require_temperature(self.temperature)
        require_warmup(self.warmup)
        require_flag(standardise=self.standardise)

    def build(self, context: BuildContext) -> "DKD":
        """The method; it needs nothing of the context."""
        return DKD(self)


class DKD(Method):
    """Terms ``hard`` (cross-entropy), ``tckd`` and ``nckd`` (T^2 included), all in nats."""

    def __init__(self, settings: DKDSettings) -> None:
        super().__init__()
        self.settings = settings

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        """The terms of this batch."""
        temperature = self.settings.temperature
        own, goal = student.logits, teacher.logits
        if self.settings.standardise:
            own, goal = standardise_logits(own), standardise_logits(goal)
        # Before the task's loss, because its message for a wrong label says more than that of torch.
        terms = dkd_terms(own, goal, taught_target(goal, batch), temperature=temperature, reduction="mean")
        return {"hard": hard_loss(student, batch, self.settings.task_weight), "tckd": terms.tckd, "nckd": terms.nckd}

    def weights(self, epoch: float) -> dict[str, float]:
        """``alpha`` and ``beta`` times the warm-up."""
        settings = self.settings
        factor = linear_warmup(epoch, settings.warmup)
        return {"hard": settings.task_weight, "tckd": settings.alpha * factor, "nckd": settings.beta * factor}
