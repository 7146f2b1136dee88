"""What methods on the logits of a weak and a strong view have in common."""

from abc import abstractmethod
from collections.abc import Mapping

from torch import Tensor

from decant.interfaces import Batch, Method, Outputs
from decant.methods.task import hard_loss
from decant.methods.warmup import linear_warmup

Pair = tuple[Tensor, Tensor]
"""Of a weak and a strong view."""


class TwoViewMethod(Method):
    """Terms ``hard`` (cross-entropy of both views, added up, in nats) and those of :meth:`compare`.

    Args:
        task_weight: weight of the task's own term.
        weights: name -> weight of every term that :meth:`compare` returns.
        warmup: epochs over which ``weights`` rise linearly to their values; 0 for none.
    """

    views = 2
    strong_views = 1

    def __init__(self, task_weight: float, weights: Mapping[str, float], warmup: int) -> None:
        super().__init__()
        self._task_weight, self._weights, self._warmup = task_weight, dict(weights), warmup

    @abstractmethod
    def compare(self, students: Pair, teachers: Pair) -> dict[str, Tensor]:
        """The terms that compare logits (N, C) of both views, unweighted."""

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        """The terms of this batch."""
        (strong,) = student.more
        hard = hard_loss(student, batch, self._task_weight) + hard_loss(strong, batch, self._task_weight)
        return {"hard": hard, **self.compare(_both(student), _both(teacher))}

    def weights(self, epoch: float) -> dict[str, float]:
        """The settings' weights, all but the task's times the warm-up."""
        factor = linear_warmup(epoch, self._warmup)
        return {"hard": self._task_weight, **{name: weight * factor for name, weight in self._weights.items()}}


def _both(outputs: Outputs) -> Pair:
    (strong,) = outputs.more
    return outputs.logits, strong.logits
