"""Curriculum temperature (Li, Li, Yang, Zhao, Song, Luo, Li, Yang 2023, arXiv:2211.16231)."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from decant.interfaces import Batch, BuildContext, Method, Outputs
from decant.losses import dkd_terms, kd_loss
from decant.methods.checks import require_finite, require_positive, require_warmup, require_weights
from decant.methods.source import Source
from decant.methods.task import hard_loss, taught_target
from decant.methods.warmup import linear_warmup


@dataclass(frozen=True)
class CTKDSettings:
    """Settings of :class:`CTKD`: ``task_weight`` CE + ``weight`` times KD, or alpha TCKD + beta NCKD, at a learned T.

    The defaults are those of the authors' code for KD; for DKD both weights are 1 there.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}
    source: ClassVar[Source] = Source(2023, "arXiv:2211.16231")

    name: Literal["ctkd"] = "ctkd"
    base: Literal["kd", "dkd"] = "kd"
    """The loss whose temperature is learned."""
    task_weight: float = 0.1
    weight: float = 0.9
    """Of the base's loss."""
    alpha: float = 1.0
    """Of TCKD within dkd; kd has none."""
    beta: float = 8.0
    """Of NCKD within dkd; kd has none."""
    lowest: float = 1.0
    """The temperature never falls to it."""
    span: float = 20.0
    """The temperature stays below ``lowest`` + ``span``."""
    initial: float = 1.0
    """theta at the start, in T = ``lowest`` + ``span`` sigmoid(theta)."""
    ramp: int = 10
    """Epochs over which the reversed gradient rises to its full strength, along a cosine; 0 for none."""
    warmup: int = 0
    """Epochs over which ``weight`` rises linearly to its value; 0 for none."""

    def __post_init__(self) -> None:
        """Refuse values that no training can use."""
        if self.base not in ("kd", "dkd"):
            raise ValueError(f"base is 'kd' or 'dkd', got {self.base!r}")
        require_weights(task_weight=self.task_weight, weight=self.weight, alpha=self.alpha, beta=self.beta)
        require_weights(lowest=self.lowest)
        require_positive(span=self.span)
        require_finite(initial=self.initial)
        require_warmup(self.warmup)
        require_warmup(self.ramp, "ramp")

    def build(self, context: BuildContext) -> "CTKD":
        """The method; it needs nothing of the context."""
        return CTKD(self)


class CTKD(Method):
    """Terms ``hard``, those of the base (nats, T^2 included), ``adversary`` and ``temperature``.

    The base's terms teach the student at the temperature as it is. ``adversary`` is the base's loss less itself, so
    always 0, with a gradient for theta alone; its weight is negative, and so the temperature climbs where the student
    descends. This is the paper's gradient reversal with its strength in the weights, which follow the epoch, and not
    inside the graph. ``temperature`` is T for the log, with weight 0.
    """

    def __init__(self, settings: CTKDSettings) -> None:
        super().__init__()
        self.settings = settings
        self.theta = nn.Parameter(torch.tensor(settings.initial))

    def temperature(self) -> Tensor:
        """T, a scalar that theta learns through."""
        return self.settings.lowest + self.settings.span * self.theta.sigmoid()

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        """The terms of this batch."""
        temperature = self.temperature()
        target = taught_target(teacher.logits, batch)
        terms = self._base(student.logits, teacher.logits, target, temperature.detach())
        against = self._base(student.logits.detach(), teacher.logits, target, temperature)
        adversary = torch.stack([weight * against[name] for name, weight in self._parts().items()]).sum()
        return {
            "hard": hard_loss(student, batch, self.settings.task_weight),
            **terms,
            "adversary": adversary - adversary.detach(),
            "temperature": temperature.detach(),
        }

    def weights(self, epoch: float) -> dict[str, float]:
        """The settings' weights, the base's times the warm-up; the adversary's is negative and rises with the ramp."""
        settings = self.settings
        factor = settings.weight * linear_warmup(epoch, settings.warmup)
        return {
            "hard": settings.task_weight,
            **{name: factor * weight for name, weight in self._parts().items()},
            "adversary": -factor * cosine_ramp(epoch, settings.ramp),
            "temperature": 0.0,
        }

    def _parts(self) -> dict[str, float]:
        settings = self.settings
        return {"kd": 1.0} if settings.base == "kd" else {"tckd": settings.alpha, "nckd": settings.beta}

    def _base(self, student: Tensor, teacher: Tensor, target: Tensor | None, temperature: Tensor) -> dict[str, Tensor]:
        if self.settings.base == "kd":
            return {"kd": kd_loss(student, teacher, temperature=temperature)}
        return dkd_terms(student, teacher, target, temperature=temperature)._asdict()


def cosine_ramp(epoch: float, epochs: int) -> float:
    """Factor (1 - cos(pi min((floor(epoch) + 1) / epochs, 1))) / 2, constant inside an epoch; 1 where ``epochs`` is 0.

    >>> [round(cosine_ramp(epoch, 10), 4) for epoch in (0.5, 4.0, 9.0, 30.0)]
    [0.0245, 0.5, 1.0, 1.0]
    """
    return (1 - math.cos(math.pi * linear_warmup(epoch, epochs))) / 2
