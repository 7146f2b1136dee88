"""The training loop. It takes a step and batches, and knows nothing of networks, methods or data sets."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from decant.engine.optim import learning_rate_at
from decant.engine.parallel import Parallel
from decant.recipe import TrainSettings


class Counted(Protocol):
    """A batch of anything: it knows which samples it holds."""

    @property
    def index(self) -> Tensor:
        """Position of each sample in its data set, (N,)."""
        ...


AnyBatch = TypeVar("AnyBatch", bound=Counted)
Met = TypeVar("Met", bound=Counted, contravariant=True)


class Step(Protocol[Met]):
    """One forward pass of training: the loss of a batch, and its raw terms."""

    def __call__(self, batch: Met) -> tuple[tuple[Tensor, ...], Mapping[str, Tensor]]:
        """The loss in as many parts as ``backward`` takes, usually one, and the terms to log."""
        ...


@dataclass(frozen=True)
class EpochLog:
    """Means over the batches of one epoch, weighted by their samples: the loss, and every raw term in its own unit."""

    loss: float
    terms: dict[str, float]


class NonFiniteLossError(RuntimeError):
    """The loss of an epoch was NaN or infinite."""


def fit_epoch(
    epoch: int,
    *,
    step: Step[AnyBatch],
    batches: Iterable[AnyBatch],
    steps: int,
    module: nn.Module,
    optimizer: Any,
    settings: TrainSettings,
    parallel: Parallel,
    backward: Callable[..., None] | None = None,
    update_average: Callable[[], None] = lambda: None,
    advance: Callable[[], None] = lambda: None,
) -> EpochLog:
    """Train ``module`` for one epoch.

    Args:
        epoch: epochs completed before this one.
        step: the forward pass.
        batches: exactly ``steps`` of them.
        steps: batches of this epoch and process.
        module: what ``step`` runs, as :meth:`Parallel.prepare` gave it.
        optimizer: as :meth:`Parallel.prepare_optimizer` gave it.
        settings: learning rate, schedule, accumulation.
        parallel: device, precision and processes.
        backward: takes the gradients of what ``step`` gives; by default :meth:`Parallel.backward`, of one loss.
        update_average: called after each optimiser step.
        advance: called after each batch.

    Raises:
        NonFiniteLossError: a loss of this epoch was NaN or infinite; the message names the terms.
    """
    module.train()
    backward = backward or parallel.backward
    meter = _Meter()
    for position, batch in enumerate(batches):
        first = position - position % settings.accumulate
        group = min(settings.accumulate, steps - first)  # the epoch's tail may be a shorter group
        last = position == first + group - 1
        if position == first:
            rate = learning_rate_at(settings, epoch + position / steps)
            for parameters in optimizer.param_groups:
                parameters["lr"] = rate
        with parallel.accumulate(module, last=last):
            losses, terms = step(batch)
            backward(*(loss / group if group > 1 else loss for loss in losses))
        if last:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            update_average()
        meter.add(reduce(torch.add, losses), terms, len(batch.index))
        advance()
    return meter.result(epoch, parallel)


class _Meter:
    """Sums on the device, so that the loop never waits for it; read once at the end of an epoch."""

    def __init__(self) -> None:
        self._names: tuple[str, ...] = ()
        self._sums: Tensor | None = None
        self._samples = 0

    def add(self, loss: Tensor, terms: Mapping[str, Tensor], samples: int) -> None:
        values = torch.stack([loss.detach(), *(term.detach() for term in terms.values())])
        if self._sums is None:
            self._sums = torch.zeros_like(values, dtype=torch.float64)
        self._names = tuple(terms)
        self._samples += samples
        self._sums.add_(values, alpha=samples)  # in float64: nothing is lost over an epoch

    def result(self, epoch: int, parallel: Parallel) -> EpochLog:
        if self._sums is None:
            raise ValueError(f"epoch {epoch + 1} had no batches")
        *sums, samples = parallel.total(torch.cat([self._sums, self._sums.new_tensor([self._samples])])).tolist()
        loss, *terms = (value / samples for value in sums)
        log = EpochLog(loss, dict(zip(self._names, terms, strict=True)))
        if not math.isfinite(log.loss):
            raise NonFiniteLossError(
                f"the loss became NaN or infinite in epoch {epoch + 1}; means over the epoch: loss {log.loss}, "
                + ", ".join(f"{name} {value}" for name, value in log.terms.items())
                + ". Lower train.learning_rate, give the method a warmup, or use fp32"
            )
        return log
