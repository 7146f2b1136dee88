"""Reading the folder that a training run leaves behind. Nothing here writes."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from decant.evidence.metric import Metric, metric_of

SPLITS = ("test", "validation", "training")


@dataclass(frozen=True)
class Run:
    """One training run, as its folder tells it; made by ``read_run``.

    Attributes:
        path: the run folder.
        recipe: the resolved recipe (``recipe.json``).
        environment: versions, device and threads (``environment.json``); empty if an unfinished run has none yet.
        metrics: one row per epoch that was judged, in order; ``top1`` in percent, of a detector ``ap``.
        summary: what a finished run says at its end (``summary.json``); None while it is unfinished.

    >>> rows = tuple({"epoch": i + 1, "split": "test", "top1": top1} for i, top1 in enumerate((91.0, 93.5, 93.0)))
    >>> run = Run(Path("runs/dkd"), {"seed": 7, "method": {"name": "dkd"}}, {}, rows, None)
    >>> run.seed, run.epochs, run.last_score, run.best_score, run.finished
    (7, 3, 93.0, 93.5, False)
    """

    path: Path
    recipe: Mapping[str, Any]
    environment: Mapping[str, Any]
    metrics: tuple[Mapping[str, Any], ...]
    summary: Mapping[str, Any] | None

    @property
    def seed(self) -> int:
        """Seed of initialisation and order."""
        return int(self.recipe["seed"])

    @property
    def method(self) -> str:
        """Name of the method; of a composed one the names of its parts: ``dkd+reviewkd``."""
        return "+".join(str(part["name"]) for part in self._methods) or "supervised"

    @property
    def settings(self) -> dict[str, Any]:
        """The method's settings without its name; of a composed one those of each part, by its name."""
        if not self._methods:
            return {}
        parts = {part["name"]: {key: value for key, value in part.items() if key != "name"} for part in self._methods}
        return parts if len(parts) != 1 else parts[self.method]

    @property
    def optimizer(self) -> Mapping[str, Any]:
        """What trained it; SGD where the recipe is from before there was another."""
        found: Mapping[str, Any] = self.recipe.get("train", {}).get("optimizer", {"name": "sgd"})
        return found

    @property
    def finished(self) -> bool:
        """Whether the run came to its end."""
        return self.summary is not None

    @property
    def epochs(self) -> int:
        """Epochs completed when the run was last judged."""
        return int(self.metrics[-1]["epoch"]) if self.metrics else 0

    @property
    def split(self) -> str:
        """The data that the rows were measured on: ``test``, ``validation``, or the very ``training`` data."""
        return str(self._judged()[-1]["split"])

    @property
    def metric(self) -> Metric:
        """What it is judged by."""
        return metric_of(self.recipe)

    @property
    def last_score(self) -> float:
        """What it is judged by, after the last epoch on record, in percent."""
        return float(self._judged()[-1][self.metric.key])

    @property
    def best_score(self) -> float:
        """The highest of the judged epochs, in percent; chosen on what it is measured on, so no evidence.

        Which epochs were judged is up to ``train.evaluate_every``.
        """
        return max(float(row[self.metric.key]) for row in self._judged())

    @property
    def beside(self) -> dict[str, float]:
        """The numbers beside it after the last epoch on record, in percent, by their keys."""
        last = self._judged()[-1]
        return {key: float(last[key]) for key in self.metric.beside if last.get(key) is not None}

    @property
    def _methods(self) -> list[Mapping[str, Any]]:
        method = self.recipe["method"]
        return method if isinstance(method, list) else [method]

    def _judged(self) -> tuple[Mapping[str, Any], ...]:
        if not self.metrics:
            raise ValueError(f"expected at least one judged epoch in {self.path / 'metrics.jsonl'}, found none yet")
        return self.metrics


def read_run(path: Path | str) -> Run:
    """The run in a folder, read as it stands and never changed.

    A run without ``summary.json`` is unfinished. It may lack everything but ``recipe.json``, and the last line of its
    ``metrics.jsonl`` may be cut short, because that line is being written or its writer was killed: the line is then
    left out. A run with ``summary.json`` must be complete and agree with itself.

    Args:
        path: folder that holds ``recipe.json``, ``environment.json``, ``metrics.jsonl`` and ``summary.json``.

    Raises:
        ValueError: the folder holds no recipe, a file is not what it should be (the message names file and line), or a
            finished run lacks a file or contradicts its summary.

    >>> import json, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "recipe.json").write_text(json.dumps({"seed": 3, "method": {"name": "kd"}}))
    ...     _ = (Path(folder) / "metrics.jsonl").write_text('{"epoch": 1, "split": "test", "top1": 62.5}\\n{"epo')
    ...     run = read_run(folder)
    >>> run.finished, run.epochs, run.last_score
    (False, 1, 62.5)
    """
    path = Path(path)
    recipe = _read_object(path / "recipe.json")
    if recipe is None:
        raise ValueError(f"expected a run folder with recipe.json at {path}, found none; name the folder of one run")
    seed, method = recipe.get("seed"), recipe.get("method")
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise ValueError(f"expected an integer seed in {path / 'recipe.json'}, got {seed!r}")
    for part in ("data", "student", "train"):
        if not isinstance(recipe.get(part, {}), dict):
            raise ValueError(f"expected an object for {part} in {path / 'recipe.json'}, got {recipe[part]!r}")
    optimizer = recipe.get("train", {}).get("optimizer", {"name": "sgd"})
    if not isinstance(optimizer, dict) or not isinstance(optimizer.get("name"), str):
        raise ValueError(f"expected a train.optimizer with a name in {path / 'recipe.json'}, got {optimizer!r}")
    metric = metric_of(recipe)
    alone = method == [] and metric.key != "top1"  # a detector that nobody teaches has a list of no methods
    methods = method if isinstance(method, list) and (method or alone) else [method]
    if not all(isinstance(part, dict) and isinstance(part.get("name"), str) for part in methods):
        raise ValueError(f"expected a method with a name in {path / 'recipe.json'}, got {method!r}")
    # The summary is read first: an ending run writes it last, so whatever it vouches for is already there.
    summary = _read_object(path / "summary.json")
    environment = _read_object(path / "environment.json")
    metrics = _read_rows(path / "metrics.jsonl", metric, finished=summary is not None)
    if summary is not None:
        _check_summary(path, summary, environment, metrics, metric)
    return Run(path, recipe, environment or {}, metrics, summary)


def _read_object(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file, None where there is no such file."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ValueError(f"expected JSON in {path}, but it cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"expected a JSON object in {path}, got {type(value).__name__}")
    return value


def _read_rows(path: Path, metric: Metric, *, finished: bool) -> tuple[dict[str, Any], ...]:
    try:
        # Bytes: a line cut short may end inside a character.
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return ()
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(lines, start=1):
        cut_short_allowed = number == len(lines) and not finished
        if number == len(lines) and not line:
            break  # the file ends with a newline
        try:
            row = json.loads(line)
        except ValueError as error:
            if cut_short_allowed:
                break
            raise ValueError(f"expected JSON in line {number} of {path}, but it cannot be read: {error}") from error
        _check_row(row, rows[-1] if rows else None, f"line {number} of {path}", metric)
        rows.append(row)
    if len(splits := sorted({row["split"] for row in rows})) > 1:
        raise ValueError(f"expected one split to be judged in all rows of {path}, got {splits}")
    return tuple(rows)


def _check_row(row: object, previous: dict[str, Any] | None, where: str, metric: Metric) -> None:
    if not isinstance(row, dict):
        raise ValueError(f"expected a JSON object in {where}, got {type(row).__name__}")
    epoch, split, score = row.get("epoch"), row.get("split"), row.get(metric.key)
    if not isinstance(epoch, int) or isinstance(epoch, bool) or epoch < 1:
        raise ValueError(f"expected epoch, a count of completed epochs from 1, in {where}, got {epoch!r}")
    if previous is not None and epoch <= previous["epoch"]:
        raise ValueError(
            f"expected an epoch after {previous['epoch']} in {where}, got {epoch}; one run, one row per epoch"
        )
    if not isinstance(score, int | float) or isinstance(score, bool) or not 0 <= score <= 100:
        raise ValueError(f"expected {metric.key} in percent, 0 to 100, in {where}, got {score!r}")
    if split not in SPLITS:
        raise ValueError(f"expected split to be one of {SPLITS} in {where}, got {split!r}")


def _check_summary(
    path: Path,
    summary: Mapping[str, Any],
    environment: Mapping[str, Any] | None,
    metrics: tuple[dict[str, Any], ...],
    metric: Metric,
) -> None:
    if summary.get("finished") is not True:
        raise ValueError(
            f'expected "finished": true in {path / "summary.json"}, got {summary.get("finished")!r}; '
            "only a finished run writes it"
        )
    if environment is None:
        raise ValueError(
            f"expected environment.json beside summary.json in {path}, found none; the folder is not whole"
        )
    if not metrics:
        raise ValueError(f"expected metrics.jsonl with at least one row beside summary.json in {path}, found none")
    seconds = summary.get("seconds")
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not math.isfinite(seconds):
        raise ValueError(f"expected seconds, a number, in {path / 'summary.json'}, got {seconds!r}")
    teacher = summary.get("teacher")
    if teacher is not None and not (isinstance(teacher, dict) and isinstance(teacher.get("sha256"), str)):
        raise ValueError(f"expected a teacher with its sha256, or null, in {path / 'summary.json'}, got {teacher!r}")
    last = summary.get("last")
    told = (summary.get("epochs"), last.get("epoch"), last.get(metric.key)) if isinstance(last, dict) else None
    measured = (metrics[-1]["epoch"], metrics[-1]["epoch"], metrics[-1][metric.key])
    if told != measured:
        raise ValueError(
            f"expected summary.json in {path} to end as metrics.jsonl does, at epoch {measured[0]} with "
            f"{metric.key} {measured[2]}; got (epochs, last epoch, last {metric.key}) = {told}; "
            "a file was changed or belongs to another run"
        )
