"""The epochs of a run, whatever is trained: evaluated, logged, and kept so that an interrupted run goes on."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch

from decant.engine.meter import AfterStep, EpochLog, Meter, NonFiniteLossError
from decant.engine.parallel import Parallel
from decant.engine.progress import Reporter
from decant.engine.record import RunFolder, differences
from decant.engine.termination import TerminatedError, termination
from decant.recipe import TrainSettings

_STEPS_BETWEEN_AGREEMENTS = 32
"""Optimiser steps after which several processes ask each other whether they shall end: that waits for all devices."""


@dataclass
class Progress:
    """How far a run has come.

    Attributes:
        epoch: completed epochs.
        seconds: of training, in these.
        rows: of its log.
        within: seconds and meter of the epoch that is under way; None between two.
    """

    epoch: int = 0
    seconds: float = 0.0
    rows: list[dict[str, Any]] = field(default_factory=list)
    within: dict[str, Any] | None = None

    def batches(self, steps: int) -> int:
        """Completed batches, of which an epoch has so many."""
        return self.epoch * steps + (self.within["meter"]["batches"] if self.within is not None else 0)


class Trainee(Protocol):
    """What is trained, with all that changes while it is."""

    @property
    def parallel(self) -> Parallel:
        """Device, precision and processes."""
        ...

    @property
    def steps(self) -> int:
        """Batches of an epoch on this process."""
        ...

    def prepare(self) -> None:
        """Learn what must be known before the first step; a run that goes on has it in its state."""
        ...

    def fit_epoch(self, epoch: int, reporter: Reporter, meter: Meter, after_step: AfterStep) -> EpochLog:
        """Train for one epoch, or what ``meter.batches`` leaves of one; ``after_step`` is called after each step."""
        ...

    def finish(self) -> None:
        """Make what was trained what will be kept of it; after the last step, before it is judged."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Everything that training changes."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up where ``state_dict`` left off."""
        ...


def take_up(
    trainee: Trainee, folder: RunFolder, origin: dict[str, str | None], settings: TrainSettings, reporter: Reporter
) -> Progress:
    """The progress that the folder holds, put into ``trainee``; none for a new run, which is prepared instead.

    Args:
        trainee: what is trained.
        folder: the run folder.
        origin: digests of what the run is made from, which must be what it began with.
        settings: of the loop.
        reporter: where to say so.

    Raises:
        FileExistsError: the run began with other material.
        ValueError: no resume state can be read.
    """
    state = folder.states.load({"origin", "training", *vars(Progress())}, reporter.say)
    if state is None:
        trainee.prepare()
        return Progress()
    if (began_with := state.pop("origin")) != origin:
        raise FileExistsError(
            f"{folder.path} holds a part of this run that was trained with other material "
            f"({'; '.join(differences(began_with, origin))}); bring it back, or give another folder"
        )
    trainee.load_state_dict(state.pop("training"))
    progress = Progress(**state)
    batches = f" and {progress.within['meter']['batches']} batches" if progress.within is not None else ""
    reporter.say(f"{folder.path}: goes on after epoch {progress.epoch}{batches} of {settings.epochs}")
    if moved := folder.moved():
        reporter.say("  not bit-equal to an undisturbed run, since it began elsewhere: " + "; ".join(moved))
    return progress


def train_epochs(
    trainee: Trainee,
    folder: RunFolder,
    progress: Progress,
    *,
    origin: dict[str, str | None],
    settings: TrainSettings,
    title: str,
    row: Callable[[EpochLog, float], dict[str, Any]],
    status: Callable[[dict[str, Any]], str],
    reporter: Reporter,
    before_keeping: Callable[[], None] = lambda: None,
) -> None:
    """Train the epochs that are left, and add what they came to to ``progress`` and to the folder.

    Args:
        trainee: what is trained.
        folder: the run folder.
        progress: how far it has come; it goes on with every epoch.
        origin: digests of what the run is made from.
        settings: of the loop.
        title: what the bar is called.
        row: a line of metrics.jsonl, from the log of the last epoch and its seconds; ``progress`` is up to date.
        status: the line in words.
        reporter: where to say what is going on.
        before_keeping: called before a resume state is kept.

    Raises:
        NonFiniteLossError: a loss was NaN or infinite; the folder says in which batch.
        TerminatedError: SIGTERM came; the folder has all that was trained.
    """
    folder.begin(progress.rows)
    parallel, done = trainee.parallel, progress.batches(trainee.steps)
    with (
        termination(relayed=parallel.world > 1) as came,
        reporter.working(title, settings.epochs * trainee.steps, done),
    ):
        keeping = _Keeping(trainee, folder, progress, origin, settings, came, before_keeping)
        for epoch in range(progress.epoch, settings.epochs):
            meter, earlier = Meter(epoch), 0.0
            if (within := progress.within) is not None:
                meter, earlier = Meter.from_state(epoch, within["meter"], parallel), within["seconds"]
                progress.within = None
            keeping.epoch_begins(earlier)
            log = _fit_epoch(trainee, epoch, reporter, folder, meter, keeping)
            seconds = keeping.seconds()
            progress.seconds += seconds
            progress.epoch = epoch + 1
            if last := progress.epoch == settings.epochs:
                trainee.finish()
            if last or progress.epoch % settings.evaluate_every == 0:
                measured = row(log, seconds)
                progress.rows.append(measured)
                folder.add(measured)
                reporter.status(f"{title}: epoch {progress.epoch}/{settings.epochs}, {status(measured)}")
            if not last:
                keeping.after_epoch()


def _fit_epoch(
    trainee: Trainee, epoch: int, reporter: Reporter, folder: RunFolder, meter: Meter, keeping: "_Keeping"
) -> EpochLog:
    try:
        log = trainee.fit_epoch(epoch, reporter, meter, keeping.after_step)
    except NonFiniteLossError as error:
        where = folder.keep_non_finite(error.epoch, error.steps)
        reporter.say(f"{where}: which samples were in the batch whose loss was NaN or infinite")
        raise
    if log.skipped:
        where = folder.keep_non_finite(epoch + 1, log.skipped)
        reporter.say(f"epoch {epoch + 1}: {len(log.skipped)} batches skipped, NaN or infinite; see {where}")
    return log


class _Keeping:
    """When a resume state is due, and what is in it."""

    def __init__(
        self,
        trainee: Trainee,
        folder: RunFolder,
        progress: Progress,
        origin: dict[str, str | None],
        settings: TrainSettings,
        came: Callable[[], bool],
        before_keeping: Callable[[], None],
    ) -> None:
        self._trainee, self._folder, self._progress, self._origin = trainee, folder, progress, origin
        self._every_steps, self._every_epochs = settings.checkpoint_steps, settings.checkpoint_every
        self._came, self._before_keeping = came, before_keeping
        self._kept = progress.batches(trainee.steps)
        self._steps = 0

    def epoch_begins(self, earlier: float) -> None:
        """An epoch begins, or goes on after so many seconds."""
        self._started = time.perf_counter() - earlier

    def seconds(self) -> float:
        """Of this epoch."""
        return time.perf_counter() - self._started

    def after_step(self, meter: Meter) -> None:
        """Keep the middle of an epoch where that is due, or where the run shall end.

        Raises:
            TerminatedError: it shall end.
        """
        done = self._progress.epoch * self._trainee.steps + meter.batches
        due = self._every_steps is not None and done - self._kept >= self._every_steps
        # Several processes agree where all of them know that they do; one looks after every step.
        self._steps += 1
        agreeing = self._trainee.parallel.world == 1 or self._steps % _STEPS_BETWEEN_AGREEMENTS == 0
        end = self._shall_end() if agreeing or due else False
        if not end and not due:
            return
        meter.check(self._trainee.parallel)  # what cannot go on is not kept
        within = {"seconds": self.seconds(), "meter": meter.state_dict(self._trainee.parallel)}
        self._keep(replace(self._progress, within=within))
        if end:
            self._end()

    def after_epoch(self) -> None:
        """The same at the end of an epoch."""
        end = self._shall_end()
        if end or self._progress.epoch % self._every_epochs == 0:
            self._keep(self._progress)
        if end:
            self._end()

    def _shall_end(self) -> bool:
        came, parallel = self._came(), self._trainee.parallel
        return came if parallel.world == 1 else int(parallel.total(torch.tensor(int(came)).to(parallel.device))) > 0

    def _keep(self, progress: Progress) -> None:
        self._before_keeping()
        state = {"origin": self._origin, **vars(progress), "training": self._trainee.state_dict()}
        self._kept = progress.batches(self._trainee.steps)
        self._folder.save_resume_state(self._kept, state)

    def _end(self) -> None:
        raise TerminatedError(
            f"{self._folder.path}: ended by SIGTERM; all that was trained is kept, the same command goes on from there"
        )
