"""Methods for yes/no outputs, one for each class: multi-label, or one class alone."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from decant.interfaces import Batch, BuildContext, Method, MethodSettings, Outputs
from decant.losses import bernoulli_dkd_terms, bernoulli_kd_loss
from decant.methods.checks import require_temperature, require_warmup, require_weights
from decant.methods.warmup import linear_warmup


@dataclass(frozen=True)
class BernoulliSettings:
    """Training without a teacher: binary cross-entropy. There are no settings."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    name: Literal["bernoulli"] = "bernoulli"

    def build(self, context: BuildContext) -> "Bernoulli":
        """The method; it needs nothing of the context."""
        return Bernoulli()


@dataclass(frozen=True)
class BernoulliKDSettings:
    """``task_weight`` BCE + ``weight`` T^2 KL of every class's yes and no: the control of ``bernoulli_dkd``.

    With a ``weight`` of its own it is that method where alpha and beta are both this weight.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    name: Literal["bernoulli_kd"] = "bernoulli_kd"
    task_weight: float = 1.0
    weight: float = 1.0
    temperature: float = 4.0
    warmup: int = 0
    """Epochs over which ``weight`` rises linearly to its value; 0 for none."""

    def __post_init__(self) -> None:
        """Refuse values that no training can use."""
        require_weights(task_weight=self.task_weight, weight=self.weight)
        require_temperature(self.temperature)
        require_warmup(self.warmup)

    def build(self, context: BuildContext) -> "BernoulliKD":
        """The method; it needs nothing of the context."""
        return BernoulliKD(self)


@dataclass(frozen=True)
class BernoulliDKDSettings:
    """``task_weight`` BCE + ``alpha`` times the positives' part + ``beta`` times the negatives' part.

    The defaults are those of ``bernoulli_kd``, since nothing was measured yet that would speak for others.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    name: Literal["bernoulli_dkd"] = "bernoulli_dkd"
    task_weight: float = 1.0
    alpha: float = 1.0
    """Of the classes that a sample has."""
    beta: float = 1.0
    """Of those that it has not."""
    temperature: float = 4.0
    warmup: int = 0
    """Epochs over which ``alpha`` and ``beta`` rise linearly to their values; 0 for none."""

    def __post_init__(self) -> None:
        """Refuse values that no training can use."""
        require_weights(task_weight=self.task_weight, alpha=self.alpha, beta=self.beta)
        require_temperature(self.temperature)
        require_warmup(self.warmup)

    def build(self, context: BuildContext) -> "BernoulliDKD":
        """The method; it needs nothing of the context."""
        return BernoulliDKD(self)


class Bernoulli(Method):
    """The term ``hard``: binary cross-entropy in nats, averaged over samples and classes."""

    needs_teacher = False

    def forward(self, student: Outputs, teacher: Outputs | None, batch: Batch) -> dict[str, Tensor]:
        """The term ``hard``."""
        return {"hard": binary_loss(student, batch)}

    def weights(self, epoch: float) -> dict[str, float]:
        """Always 1."""
        return {"hard": 1.0}


class BernoulliKD(Method):
    """Terms ``hard`` (binary cross-entropy) and ``kd`` (T^2 included), in nats, means over samples and classes."""

    def __init__(self, settings: BernoulliKDSettings) -> None:
        super().__init__()
        self.settings = settings

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        """The terms of this batch."""
        soft = bernoulli_kd_loss(
            student.logits, teacher.logits, temperature=self.settings.temperature, reduction="mean"
        )
        return {"hard": binary_loss(student, batch, self.settings.task_weight), "kd": soft}

    def weights(self, epoch: float) -> dict[str, float]:
        """``weight`` times the warm-up for ``kd``."""
        settings = self.settings
        return {"hard": settings.task_weight, "kd": settings.weight * linear_warmup(epoch, settings.warmup)}


class BernoulliDKD(Method):
    """Terms ``hard``, ``positives`` and ``negatives`` (T^2 included), in nats, each over the number of all entries."""

    def __init__(self, settings: BernoulliDKDSettings) -> None:
        super().__init__()
        self.settings = settings

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        """The terms of this batch."""
        # First of all, because its message for a wrong target says more than that of torch.
        terms = bernoulli_dkd_terms(
            student.logits, teacher.logits, batch.target, temperature=self.settings.temperature, reduction="mean"
        )
        return {"hard": binary_loss(student, batch, self.settings.task_weight), **terms._asdict()}

    def weights(self, epoch: float) -> dict[str, float]:
        """``alpha`` and ``beta`` times the warm-up."""
        settings = self.settings
        factor = linear_warmup(epoch, settings.warmup)
        return {"hard": settings.task_weight, "positives": settings.alpha * factor, "negatives": settings.beta * factor}


def binary_loss(student: Outputs, batch: Batch, weight: float = 1.0) -> Tensor:
    """Binary cross-entropy of logits (N, C) with 0 and 1 for every class, in nats, averaged over samples and classes.

    ``weight`` does not scale the result: it says whether the term counts, so that a target of None is fine where not.

    Raises:
        ValueError: a target that is missing although it counts, or of another shape than the logits.
    """
    logits, target = student.logits, batch.target
    if target is None and weight == 0:
        return logits.new_zeros(())
    if target is None or target.shape != logits.shape:
        found = "none" if target is None else tuple(target.shape)
        raise ValueError(
            f"the target must have the shape of the logits {tuple(logits.shape)}, 1 where a sample has a class and 0 "
            f"where not, got {found}"
        )
    working = logits if logits.dtype == torch.float64 else logits.float()
    return F.binary_cross_entropy_with_logits(working, target.to(working.dtype))


MULTILABEL_METHODS: dict[str, type[MethodSettings]] = {
    "bernoulli": BernoulliSettings,
    "bernoulli_kd": BernoulliKDSettings,
    "bernoulli_dkd": BernoulliDKDSettings,
}
"""Every method for yes/no outputs by its name; those of ``METHODS`` are for one class of each sample."""
