"""What methods on logits have in common: the task's own term, and terms that compare the two networks' logits."""

from abc import abstractmethod
from collections.abc import Mapping

from torch import Tensor

from decant.interfaces import Batch, Method, Outputs
from decant.methods.task import hard_loss, taught_target
from decant.methods.warmup import linear_warmup


class LogitMethod(Method):
    """Terms ``hard`` (cross-entropy, in nats) and those of :meth:`compare`.

    Args:
        task_weight: weight of the task's own term.
        weights: name -> weight of every term that :meth:`compare` returns.
        warmup: epochs over which ``weights`` rise linearly to their values; 0 for none.
    """

    def __init__(self, task_weight: float, weights: Mapping[str, float], warmup: int) -> None:
        super().__init__()
        self._task_weight, self._weights, self._warmup = task_weight, dict(weights), warmup

    @abstractmethod
    def compare(self, student: Tensor, teacher: Tensor, target: Tensor | None) -> dict[str, Tensor]:
        """The terms that compare logits (N, C), unweighted.

        ``target`` is as :func:`decant.methods.task.taught_target` gives it: no sample is without a class.
        """

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        """The terms of this batch."""
        # First of all, because its message for a wrong label says more than that of torch.
        terms = self.compare(student.logits, teacher.logits, taught_target(teacher.logits, batch))
        return {"hard": hard_loss(student, batch, self._task_weight), **terms}

    def weights(self, epoch: float) -> dict[str, float]:
        """The settings' weights, all but the task's times the warm-up."""
        factor = linear_warmup(epoch, self._warmup)
        return {"hard": self._task_weight, **{name: weight * factor for name, weight in self._weights.items()}}
