"""TensorBoard, Weights & Biases and MLflow are told the numbers of metrics.jsonl, where that was asked for.

Which service, and as whom, is the service's own affair: its settings and secrets are never read, and a run folder
keeps nothing but the numbers by which a resumed run finds its place again.
"""

import importlib.util
import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from decant.engine.checkpoint import write_text
from decant.engine.parallel import started_tracker
from decant.engine.places import Places
from decant.recipe import AnyRecipe, recipe_to_dict

TRACKERS = ("tensorboard", "wandb", "mlflow")
TRACKED_FILE = "tracked.json"
"""What a run is called by its trackers."""

_PROJECT = "decant"


class Tracker(Protocol):
    """What accelerate's trackers have in common, as far as it is used."""

    @property
    def tracker(self) -> Any:
        """The service's own object."""
        ...

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Note the settings of the run."""
        ...

    def log(self, values: dict[str, Any], step: int | None = None) -> None:
        """Note numbers of a step."""
        ...

    def finish(self) -> None:
        """Write what is left, and close."""
        ...


def require_trackers(names: Sequence[str]) -> None:
    """Raise now what would end a training before its first step.

    Raises:
        ValueError: a tracker that is not known.
        ImportError: one whose package is not installed.
    """
    for name in names:
        if name not in TRACKERS:
            raise ValueError(f"expected trackers among {', '.join(TRACKERS)}, got {name!r}")
        if not _installed(name):
            raise ImportError(f"--track {name} needs the package {name}: pip install {name}, or 'decant-kd[track]'")


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def tracking_of(recipe: AnyRecipe, folder: Path, places: Places, say: Callable[[str], None]) -> "Tracking":
    """The trackers that this machine's ``places`` ask for, for a run of this recipe.

    Raises:
        ValueError: a tracker that is not known.
        ImportError: one whose package is not installed.
    """
    require_trackers(places.track)
    return Tracking(places.track, folder, places.tracked, recipe_to_dict(recipe), say)


class Tracking:
    """The trackers of one run.

    Args:
        names: which ones.
        folder: the run folder.
        files: where they may keep files of their own, outside of any run folder.
        settings: the run's recipe.
        say: told what could not be tracked.
    """

    def __init__(
        self,
        names: Sequence[str],
        folder: Path,
        files: Path,
        settings: Mapping[str, Any],
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._names, self._folder, self._files, self._say = names, folder, files, say
        self._settings = dict(_flat(settings, "."))
        self._trackers: dict[str, Tracker] = {}

    def begin(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Begin, or go on after the last of ``rows`` in the very run that was begun before."""
        if not self._names:
            return
        path = self._folder / TRACKED_FILE
        known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"id": uuid.uuid4().hex[:12]}
        done = int(rows[-1]["epoch"]) if rows else 0
        for name in self._names:
            try:
                self._files.mkdir(parents=True, exist_ok=True)
                tracker = self._start(name, known, done)
                called = tracker.tracker.info.run_id if name == "mlflow" else known["id"]
                if name not in known:
                    self._tell_settings(name, tracker)
            except Exception as error:  # whatever a service raises must not end a training of days
                self._say(f"{name} failed at its start and is told nothing of this run: {error}")
            else:
                self._trackers[name], known[name] = tracker, called
        write_text(path, json.dumps(known, indent=2) + "\n")

    def _tell_settings(self, name: str, tracker: Tracker) -> None:
        if name == "tensorboard":  # its own table of settings would make a second run of each
            tracker.log({"recipe": json.dumps(self._settings, indent=2)}, step=0)
        else:
            tracker.store_init_configuration(self._settings)

    def _start(self, name: str, known: Mapping[str, str], done: int) -> Tracker:
        title = "-".join((*self._folder.resolve().parts[-2:], known["id"]))
        settings: dict[str, Any] = {"run_name": title, "run_id": known.get(name)}  # of MLflow
        if name == "tensorboard":
            # Epochs that run again are shown once.
            settings = {"logging_dir": str(self._files / name)} | ({"purge_step": done + 1} if name in known else {})
        elif name == "wandb":
            settings = {"name": title, "id": known["id"], "resume": "allow", "dir": str(self._files)}
        tracker: Tracker = started_tracker(name, title if name == "tensorboard" else _PROJECT, **settings)
        return tracker

    def add(self, row: Mapping[str, Any]) -> None:
        """Tell them a line of metrics.jsonl: all of its numbers, at its epoch."""
        numbers = {
            key: value
            for key, value in _flat(row, "/")
            if isinstance(value, int | float) and not isinstance(value, bool) and key != "epoch"
        }
        for name, tracker in list(self._trackers.items()):
            try:
                tracker.log(numbers, step=int(row["epoch"]))
            except Exception as error:  # as at its start
                self._say(f"{name} failed after epoch {row['epoch']} and is told no more of this run: {error}")
                del self._trackers[name]

    def end(self) -> None:
        """Let them write what is left."""
        for name, tracker in self._trackers.items():
            try:
                tracker.finish()
            except Exception as error:  # as above
                self._say(f"{name} failed at the end of the run: {error}")
        self._trackers = {}


def _flat(values: Mapping[str, Any], joint: str, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, joint, f"{prefix}{key}{joint}")
        else:
            yield prefix + key, value if isinstance(value, int | float | str | None) else json.dumps(value)
