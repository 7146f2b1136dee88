"""What most methods on features have in common: the task's own term, and one that compares features."""

from abc import abstractmethod
from typing import Protocol, Self

from torch import Tensor

from decant.interfaces import Batch, BuildContext, Method, Outputs
from decant.methods.task import hard_loss
from decant.methods.token_maps import Grids, token_grids, with_maps
from decant.methods.warmup import linear_warmup


class TwoWeights(Protocol):
    """Settings with the method's name and the weights of its two terms."""

    @property
    def name(self) -> str:
        """The name of the second term."""
        ...

    @property
    def task_weight(self) -> float:
        """Weight of the task's own term."""
        ...

    @property
    def weight(self) -> float:
        """Weight of the term that compares features."""
        ...


class FeatureMethod(Method):
    """Terms ``hard`` (cross-entropy, in nats) and one named after the method, which :meth:`compare` computes.

    Args:
        settings: names the second term and weighs both.
        taps: the features that are compared.
        warmup: epochs over which the weight of the second term rises linearly; 0 for none.
    """

    def __init__(self, settings: TwoWeights, taps: tuple[str, ...], warmup: int = 0) -> None:
        super().__init__()
        self.taps = taps
        self._term, self._weights = settings.name, (settings.task_weight, settings.weight)
        self._warmup = warmup
        self._grids: tuple[Grids, Grids] = ({}, {})

    def on_maps(self, context: BuildContext) -> Self:
        """Let it see those features of its networks that are tokens as maps (N, D, H, W); returns itself.

        Raises:
            ValueError: tokens that are no grid.
        """
        self._grids = token_grids(context, self._term, self.taps)
        return self

    @abstractmethod
    def compare(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        """The second term, unweighted."""

    def stages(self, student: Outputs, teacher: Outputs) -> tuple[list[Tensor], list[Tensor]]:
        """The features of both networks, in the order of the taps."""
        return [student.taps[tap] for tap in self.taps], [teacher.taps[tap] for tap in self.taps]

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        """The terms of this batch."""
        hard = hard_loss(student, batch, self._weights[0])
        own, goal = (with_maps(each, grids) for each, grids in zip((student, teacher), self._grids, strict=True))
        return {"hard": hard, self._term: self.compare(own, goal, batch)}

    def weights(self, epoch: float) -> dict[str, float]:
        """The settings' weights, the second times the warm-up."""
        task, feature = self._weights
        return {"hard": task, self._term: feature * linear_warmup(epoch, self._warmup)}
