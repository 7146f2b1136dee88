"""The training loop. It takes a step and batches, and knows nothing of networks, methods or data sets."""

from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from decant.engine.meter import AfterStep, EpochLog, Meter, NonFiniteLossError, Reading
from decant.engine.optim import learning_rate_at
from decant.engine.parallel import Parallel
from decant.engine.step_guard import StepGuard
from decant.recipe import TrainSettings

__all__ = ["Counted", "EpochLog", "NonFiniteLossError", "Step", "fit_epoch"]


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
    meter: Meter | None = None,
    after_step: AfterStep = lambda meter: None,
) -> EpochLog:
    """Train ``module`` for one epoch.

    Args:
        epoch: epochs completed before this one.
        step: the forward pass.
        batches: all of them, or those that are left after ``meter.batches``.
        steps: batches of this epoch and process.
        module: what ``step`` runs, as :meth:`Parallel.prepare` gave it.
        optimizer: as :meth:`Parallel.prepare_optimizer` gave it.
        settings: learning rate, schedule, accumulation.
        parallel: device, precision and processes.
        backward: takes the gradients of what ``step`` gives; by default :meth:`Parallel.backward`, of one loss.
        update_average: called after each optimiser step.
        advance: called after each batch.
        meter: what the epoch came to so far, where it goes on; at its end it is up to date.
        after_step: called after each optimiser step, when all that a resume state needs is in place.

    Raises:
        NonFiniteLossError: a loss of this epoch was NaN or infinite; the message names batch and terms.
    """
    module.train()
    backward = backward or parallel.backward
    meter = Meter(epoch) if meter is None else meter
    guard = StepGuard(module, optimizer, parallel) if settings.on_nonfinite == "skip" else None
    readings: list[Reading] = []
    for position, batch in enumerate(batches, start=meter.batches):
        first = position - position % settings.accumulate
        group = min(settings.accumulate, steps - first)  # the epoch's tail may be a shorter group
        last = position == first + group - 1
        if position == first:
            rate = learning_rate_at(settings, epoch + position / steps)
            for parameters in optimizer.param_groups:
                parameters["lr"] = rate
            if guard is not None:
                guard.remember()
        with parallel.accumulate(module, last=last):
            losses, terms = step(batch)
            backward(*(loss / group if group > 1 else loss for loss in losses))
        readings.append(Reading.of(reduce(torch.add, losses), terms, batch.index))
        if last:
            count = meter.add
            if guard is None or guard.allows(readings):
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                update_average()
            else:
                guard.undo()
                count = meter.skip
            for reading in readings:
                count(reading)
            readings = []
            after_step(meter)
        advance()
    return meter.result(parallel)
