"""Training on the labels alone: the baseline of every comparison, and how a teacher is made."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from decant.interfaces import Batch, BuildContext, Method, Outputs
from decant.methods.task import hard_loss


class Supervised(Method):
    """Cross-entropy with the labels; no teacher takes part."""

    needs_teacher = False

    def forward(self, student: Outputs, teacher: Outputs | None, batch: Batch) -> dict[str, Tensor]:
        """The term ``hard``."""
        return {"hard": hard_loss(student, batch)}

    def weights(self, epoch: float) -> dict[str, float]:
        """Always 1."""
        return {"hard": 1.0}


@dataclass(frozen=True)
class SupervisedSettings:
    """Settings of :class:`Supervised`: there are none."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    name: Literal["supervised"] = "supervised"

    def build(self, context: BuildContext) -> Supervised:
        """The method; it needs nothing of the context."""
        return Supervised()
