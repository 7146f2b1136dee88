"""What runs measured after every epoch, as curves: a line per run and one for the mean of each method's."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from decant.evidence import Panel, Run, Series
from decant.evidence.gathering import RunGroup

_MEASURES = {
    "top1": ("top-1", "%"),
    "map": ("mean average precision", "%"),
    "f1": ("F1 of all yes and no", "%"),
    "exact": ("every class right", "% of pictures"),
    "ap": ("average precision (AP)", "%"),
    "ap50": ("AP50", "%"),
    "ap75": ("AP75", "%"),
    "agreement": ("agreement with the teacher", "% of images with the same answer"),
    "loss": ("loss on what is judged", "cross-entropy, nats"),
    "train_loss": ("training loss", "sum of the weighted terms"),
}
"""Key of a row of metrics.jsonl -> title and unit, in the order of the page."""
_FIRST_TERMS = ("tckd", "nckd")


def run_name(method: str, run: Run) -> str:
    """What a line is called."""
    return f"{method}, seed {run.seed}"


def run_groups(group: RunGroup) -> dict[str, str]:
    """Name of a line -> the method that it belongs to; the mean of a method's runs has the method's name."""
    lines = {run_name(method, run): method for method, runs in group.runs.items() for run in runs}
    return lines | {method: method for method in group.runs}


def measure_panels(group: RunGroup) -> list[Panel]:
    """One panel for each quantity that the runs measured: accuracy, agreement, losses."""
    made = (_panel(group, (key,), title, unit) for key, (title, unit) in _MEASURES.items())
    return [panel for panel in made if panel is not None]


def term_panels(group: RunGroup) -> list[Panel]:
    """One panel for each raw term of a loss, unweighted; TCKD and NCKD first."""
    logged = {
        term: None
        for run in group.every_run
        for row in run.metrics
        if isinstance(row.get("terms"), Mapping)
        for term in row["terms"]
    }
    order = sorted(logged, key=lambda term: term not in _FIRST_TERMS)
    made = (
        _panel(
            group, ("terms", term), term.upper() if term in _FIRST_TERMS else f"term {term}", "unweighted, as logged"
        )
        for term in order
    )
    return [panel for panel in made if panel is not None]


def _panel(group: RunGroup, keys: tuple[str, ...], title: str, unit: str) -> Panel | None:
    lines = [line for method, runs in group.runs.items() for line in _lines(method, runs, keys)]
    return Panel(title, "epoch", unit, tuple(lines)) if lines else None


def _lines(method: str, runs: Sequence[Run], keys: tuple[str, ...]) -> Iterator[Series]:
    points = {run_name(method, run): dict(_points(run.metrics, keys)) for run in runs}
    points = {name: each for name, each in points.items() if each}
    if len(points) > 1:
        # Of the epochs that all have: else the line would jump where a run ends.
        shared = sorted(set.intersection(*(set(each) for each in points.values())))
        mean = [math.fsum(each[x] for each in points.values()) / len(points) for x in shared]
        if shared:
            yield Series(method, tuple(shared), tuple(mean))
    for name, each in points.items():
        yield Series(name, tuple(each), tuple(each.values()))


def _points(rows: Iterable[Mapping[str, Any]], keys: tuple[str, ...]) -> Iterator[tuple[float, float]]:
    for row in rows:
        value: Any = row
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        # A file may have been edited by hand; what is no number is not drawn.
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield float(row["epoch"]), float(value)
