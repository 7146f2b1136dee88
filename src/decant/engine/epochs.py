"""The epochs of a run, whatever is trained: evaluated, logged, and kept so that an interrupted run goes on."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from decant.engine.checkpoint import load_resume_state
from decant.engine.fit import EpochLog
from decant.engine.progress import Reporter
from decant.engine.record import RunFolder, differences
from decant.recipe import TrainSettings


@dataclass
class Progress:
    """How far a run has come: completed epochs, seconds of training, and the rows of its log."""

    epoch: int = 0
    seconds: float = 0.0
    rows: list[dict[str, Any]] = field(default_factory=list)


class Trainee(Protocol):
    """What is trained, with all that changes while it is."""

    @property
    def steps(self) -> int:
        """Batches of an epoch on this process."""
        ...

    def prepare(self) -> None:
        """Learn what must be known before the first step; a run that goes on has it in its state."""
        ...

    def fit_epoch(self, epoch: int, reporter: Reporter) -> EpochLog:
        """Train for one epoch."""
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
    """
    if not folder.resume_file.exists():
        trainee.prepare()
        return Progress()
    state = load_resume_state(folder.resume_file, {"origin", "training", *vars(Progress())})
    if (began_with := state.pop("origin")) != origin:
        raise FileExistsError(
            f"{folder.path} holds a part of this run that was trained with other material "
            f"({'; '.join(differences(began_with, origin))}); bring it back, or give another folder"
        )
    trainee.load_state_dict(state.pop("training"))
    progress = Progress(**state)
    reporter.say(f"{folder.path}: goes on after epoch {progress.epoch} of {settings.epochs}")
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
    """
    folder.begin(progress.rows)
    with reporter.working(title, settings.epochs * trainee.steps, progress.epoch * trainee.steps):
        for epoch in range(progress.epoch, settings.epochs):
            started = time.perf_counter()
            log = trainee.fit_epoch(epoch, reporter)
            seconds = time.perf_counter() - started
            progress.seconds += seconds
            progress.epoch = epoch + 1
            if last := progress.epoch == settings.epochs:
                trainee.finish()
            if last or progress.epoch % settings.evaluate_every == 0:
                measured = row(log, seconds)
                progress.rows.append(measured)
                folder.add(measured)
                reporter.status(f"{title}: epoch {progress.epoch}/{settings.epochs}, {status(measured)}")
            if not last and progress.epoch % settings.checkpoint_every == 0:
                before_keeping()
                folder.save_resume_state({"origin": origin, **vars(progress), "training": trainee.state_dict()})
