"""The run folder: all that is needed to repeat a run and to believe it.

recipe.json, the Python files that it takes code from, environment.json, metrics.jsonl (a line per evaluated epoch),
student.safetensors, resume-*.pt while it runs, nonfinite.json where a loss was NaN or infinite, summary.json when it
is done.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from torch import nn

from decant.engine.checkpoint import (
    KEPT_TYPES,
    STUDENT_FILE,
    save_weights,
    told_of_full_disk,
    write_atomically,
    write_text,
)
from decant.engine.environment import describe_environment
from decant.engine.meter import NonFiniteStep
from decant.engine.parallel import Parallel
from decant.engine.resume_states import KEPT, ResumeStates
from decant.engine.tracking import Tracking
from decant.recipe import AnyRecipe, RecipeError, code_files, named_code, recipe_as, recipe_to_dict

SUMMARY_FILE = "summary.json"
NON_FINITE_FILE = "nonfinite.json"
RUN_EVIDENCE = ("recipe.json", "environment.json", "metrics.jsonl", SUMMARY_FILE)
"""The files of a run that show its result."""


def read_summary(folder: Path) -> dict[str, Any]:
    """What a finished run came to."""
    values: dict[str, Any] = json.loads((folder / SUMMARY_FILE).read_text(encoding="utf-8"))
    return values


def finished(folder: Path) -> bool:
    """Whether the folder holds a run that was trained to its end."""
    return (folder / SUMMARY_FILE).exists()


@contextmanager
def held_alone(folder: Path) -> Iterator[None]:
    """Inside, no other process is at work in the folder, which is made where it is not there.

    Raises:
        FileExistsError: another process is.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise FileExistsError(
            f"another process is at work in {folder}; wait until it is done, or give another folder"
        ) from None
    try:
        yield
    finally:
        lock.release()


class RunFolder:
    """One run's folder; only the main process writes, and nothing before :meth:`begin`.

    Args:
        path: the folder.
        recipe: what runs in it.
        parallel: says which process writes, and on what it runs.
        keep: how many resume states are kept while it runs.
        tracking: what else is told each line of metrics.jsonl; None for nothing.

    Raises:
        FileExistsError: the folder holds another recipe's run, or files that are not a run's.
    """

    def __init__(
        self,
        path: Path,
        recipe: AnyRecipe,
        parallel: Parallel,
        keep: int = KEPT,
        tracking: Tracking | None = None,
    ) -> None:
        self.path = path
        self.main = parallel.main
        self._recipe = recipe
        self._parallel = parallel
        self._tracking = tracking
        self.states = ResumeStates(path, keep)
        self._metrics = path / "metrics.jsonl"
        self._environment = path / "environment.json"
        self._refuse_another(recipe)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder for this process alone; a fault before :meth:`begin` leaves nothing in it.

        Raises:
            FileExistsError: another process is at work in it.
        """
        if not self.main:
            yield
            return
        with held_alone(self.path):
            try:
                yield
            finally:
                if self._tracking is not None:
                    self._tracking.end()

    def begin(self, rows: Sequence[dict[str, Any]]) -> None:
        """Claim the folder for the recipe, with the log of the epochs that need not be trained again."""
        if self.main:
            for leaving in self.path.glob(".*.tmp"):  # half-written files of a run that was killed
                leaving.unlink()
            if not (self.path / "recipe.json").exists():
                keep_recipe(self.path / "recipe.json", self._recipe)
            self._write_environment()
            # Lines after the resume point are of epochs that run again.
            write_text(self._metrics, "".join(json.dumps(row) + "\n" for row in rows))
            if self._tracking is not None:
                self._tracking.begin(rows)
        self._parallel.wait()

    def moved(self) -> list[str]:
        """What differs from the environment in which the interrupted run was started."""
        if not self._environment.exists():
            return []
        start = json.loads(self._environment.read_text(encoding="utf-8"))
        start.pop("resumed", None)
        return differences(start, describe_environment(self._parallel))

    @property
    def finished(self) -> bool:
        """Whether the run was trained to its end."""
        return finished(self.path)

    def add(self, row: dict[str, Any]) -> None:
        """Append a line to metrics.jsonl."""
        if self.main:
            with told_of_full_disk(self._metrics), self._metrics.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            if self._tracking is not None:
                self._tracking.add(row)

    def save_resume_state(self, steps: int, state: dict[str, Any]) -> None:
        """Keep what resuming needs after so many batches."""
        if self.main:
            self.states.save(steps, state)

    def keep_non_finite(self, epoch: int, steps: Sequence[NonFiniteStep]) -> Path:
        """Write down which batches of an epoch were NaN or infinite, in the place of those of an earlier one."""
        path = self.path / NON_FINITE_FILE
        if self.main:
            told = [  # values as text: JSON has no NaN
                {"step": each.step, "values": {name: str(value) for name, value in each.values.items()}}
                | {"samples": each.samples}
                for each in steps
            ]
            write_text(path, json.dumps({"epoch": epoch, "steps": told}, indent=2) + "\n")
        return path

    def finish(
        self,
        network: nn.Module,
        summary: dict[str, Any],
        about: Mapping[str, Any],
        kept_as: str,
    ) -> None:
        """Write the student as what ``train.weights_type`` says, then the summary; nothing is left to resume.

        ``about`` is what its header says of it, in plain values.

        Returns on every process when the files are there: the next thing may be to read them.
        """
        weights = self._parallel.whole(network.state_dict())
        if self.main:
            # One entry, because the file's format keeps no order among several: equal weights make equal files.
            header = {"decant": json.dumps(dict(about), sort_keys=True)}
            save_weights(self.path / STUDENT_FILE, weights, header, KEPT_TYPES[kept_as])
            write_text(self.path / SUMMARY_FILE, json.dumps(summary, indent=2) + "\n")
            self.states.remove()
        self._parallel.wait()

    def _write_environment(self) -> None:
        """Keep the environment of the start; note under "resumed" where a later one differs."""
        values = describe_environment(self._parallel)
        if self.states.files() and self._environment.exists():
            moved = self.moved()
            values = json.loads(self._environment.read_text(encoding="utf-8"))
            if moved:
                values["resumed"] = [*values.get("resumed", []), moved]
        write_text(self._environment, json.dumps(values, indent=2) + "\n")

    def _refuse_another(self, recipe: AnyRecipe) -> None:
        if not self.path.exists():
            return
        if not self.path.is_dir():
            raise FileExistsError(f"{self.path} is a file; give another folder for the run")
        present = {entry.name for entry in self.path.iterdir() if not entry.name.startswith(".")}
        if "recipe.json" not in present:
            if present:
                raise FileExistsError(
                    f"{self.path} holds files but no run ({', '.join(sorted(present)[:3])}); give an empty folder"
                )
            return
        try:
            there = kept_recipe(self.path / "recipe.json", recipe)
        except (RecipeError, json.JSONDecodeError) as error:
            raise FileExistsError(f"{self.path} holds a run whose recipe.json cannot be read: {error}") from None
        if there.trained != recipe.trained:
            differing = differences(recipe_to_dict(there.trained), recipe_to_dict(recipe.trained))
            more = f"; and {len(differing) - 4} more" if len(differing) > 4 else ""
            raise FileExistsError(
                f"{self.path} holds the run of another recipe ({'; '.join(differing[:4])}{more}); "
                "give another folder with --out, or remove this one"
            )


def keep_recipe(path: Path, recipe: AnyRecipe) -> None:
    """Write a recipe as JSON, and beside it the Python files that it takes code from."""
    for name, content in code_files(recipe).items():
        write_atomically(path.parent / name, partial(Path.write_bytes, data=content))
    write_text(path, json.dumps(recipe_to_dict(recipe), indent=2) + "\n")


def kept_recipe(path: Path, recipe: AnyRecipe) -> AnyRecipe:
    """The recipe that :func:`keep_recipe` wrote, without what it compares, to hold against ``recipe``; no code is run.

    Raises:
        FileExistsError: it trains with other code than ``recipe``.
        RecipeError, JSONDecodeError: it is none.
    """
    values = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(values, dict):
        values.pop("compare", None)
    there, here = named_code(values), named_code(recipe_to_dict(recipe.trained))
    for name in sorted(there.keys() & here.keys()):
        if there[name] != here[name]:
            file = name.partition(":")[0]
            raise FileExistsError(
                f"{path.parent} holds what was begun with other code: {file} has changed since (sha256 there "
                f"{there[name]}, here {here[name]}). As it was, it lies there beside {path.name}: name that file to go "
                "on with it; for the new code give another folder with --out"
            )
    if there.keys() - here.keys():
        differing = "; ".join(differences(values, recipe_to_dict(recipe.trained))[:4])
        raise FileExistsError(f"{path.parent} holds what is of another recipe ({differing}); give another folder")
    return recipe_as(type(recipe), values, same_code_as=recipe)


def differences(there: dict[str, Any], here: dict[str, Any]) -> list[str]:
    """The dotted keys in which two nested tables differ, with both values."""
    old, new = _flat(there), _flat(here)
    keys = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
    return [f"{key}: there {old.get(key)!r}, here {new.get(key)!r}" for key in keys]


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):  # several methods
            value = {str(position): item for position, item in enumerate(value)}
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat
