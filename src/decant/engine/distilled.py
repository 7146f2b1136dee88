"""What one step of a distiller gives."""

from typing import NamedTuple

from torch import Tensor


class Distilled(NamedTuple):
    """What one step gives.

    Attributes:
        loss: what to call ``backward`` on.
        terms: the raw, unweighted terms by name, detached, for a log.
        logits: the student's, (N, C), of the first view.
    """

    loss: Tensor
    terms: dict[str, Tensor]
    logits: Tensor


class DistilledApart(NamedTuple):
    """What one step gives to an optimiser that keeps two gradients apart, such as :class:`decant.engine.DOT`.

    Attributes:
        task: the task's own term, weighted.
        rest: the weighted sum of all other terms; with ``task`` the loss.
        terms, logits: as in :class:`Distilled`.
    """

    task: Tensor
    rest: Tensor
    terms: dict[str, Tensor]
    logits: Tensor
