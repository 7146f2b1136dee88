"""A group of runs, or a study, as a chapter of a page: the verdict first, the numbers, what they came from."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from decant.engine.checkpoint import STUDENT_FILE
from decant.evidence import Findings, Run, mean_std, verdict
from decant.evidence import Table as FoundTable
from decant.evidence.environments import describe_mixed_environments, environment_facts
from decant.evidence.gathering import RunGroup
from decant.report import wording
from decant.report.curves import measure_panels, run_groups, term_panels
from decant.report.figures import Grid, figure_of, grid
from decant.report.findings_page import cell
from decant.report.parts import Chapter, Figures, Part, Section, Sentences, Source, Table, sentences
from decant.report.table import comparison_cells

_MEASURES = ("top1", "ap", "map")
"""What a run is judged by: the first that its rows have."""


def group_chapter(group: RunGroup, beside: tuple[Section, ...] = ()) -> Chapter:
    """Everything that the runs of a group tell.

    Args:
        group: the runs, with the comparison that they make, if they make one.
        beside: sections on student and teacher, which need data and weights.
    """
    groups = run_groups(group)
    measures = tuple(figure_of(panel, groups) for panel in measure_panels(group))
    terms = tuple(figure_of(panel, groups) for panel in term_panels(group))
    sections = [
        Section("Verdict", tuple(_verdict(group))),
        Section("Result", tuple(_result(group))),
        *([Section("Learning curves", (Figures(measures),))] if measures else []),
        *([Section("Terms of the loss", (_TERMS, Figures(terms)))] if terms else []),
        *beside,
        Section("Time and size", (Table("", _cost(group)),)),
        Section("Recipe and environment", tuple(_origin(group))),
    ]
    return Chapter(group_title(group), str(group.path), tuple(sections))


_TERMS = sentences(
    [
        "TCKD: how hard is the sample? NCKD: what do the other classes look like? Each term is shown as it was logged, "
        "without its weight; the weights are in the recipe."
    ]
)


def study_chapter(findings: Findings, path: Path) -> Chapter:
    """What a study found: its question, tables and figures, and what they show."""
    tables = [Table(table.title, _found(table)) for table in findings.tables]
    figures = tuple(figure_of(panel) for panel in findings.panels)
    sections = [
        Section("Question", (sentences([findings.question]),)),
        Section("What it shows", (sentences(findings.shown or ["Nothing."]),)),
        Section("What it does not show", (sentences(findings.not_shown or ["Every question has an answer."]),)),
        *([Section("Read with care", (sentences(findings.caveats),))] if findings.caveats else []),
        Section("Numbers", tuple(tables)),
        *(Section(figure.title, (Figures((figure,)),)) for figure in figures),
    ]
    return Chapter(f"study {findings.study}", str(path), tuple(sections))


def group_title(group: RunGroup) -> str:
    """What its runs have in common: data, student, and teacher where that is known."""
    if group.comparison is not None:
        return wording.title(group.comparison)
    recipe = group.every_run[0].recipe
    data, student = (recipe.get(part) for part in ("data", "student"))
    names = [wording.named(part) if isinstance(part, Mapping) else "unnamed" for part in (data, student)]
    return f"{names[0]}: student {names[1]}"


def _verdict(group: RunGroup) -> Iterator[Part]:
    if group.comparison is None:
        yield Sentences((("no verdict", f"No verdict: {group.reason}."),))
        return
    said = verdict(group.comparison)
    if said.claims:
        # Each once: where nothing can be said, the reason is the same for all.
        yield Sentences(tuple(dict.fromkeys((claim.outcome, claim.text) for claim in said.claims)))
    if said.caveats:
        yield sentences(said.caveats, "Read with care")


def _result(group: RunGroup) -> Iterator[Part]:
    if group.comparison is not None:
        yield Table(
            "",
            grid(
                *comparison_cells(group.comparison),
                "Mean ± sample standard deviation over seeds; differences in percentage points after the last epoch, "
                "paired by seed, with the 95% Student-t interval of their mean.",
            ),
        )
    yield Table("Every run", every_run(group))


def every_run(group: RunGroup) -> Grid:
    """A row for each run, from its own files."""
    measure = measure_of(group)
    words = {"top1": "top-1", "ap": "AP", "map": "mean average precision"}[measure]
    headings = ["method", "seed", "epoch", f"{words}, %", f"best {words}, %", "agreement, %", "seconds", "state"]
    rows = [[method, str(run.seed), *_state(run, measure)] for method, runs in group.runs.items() for run in runs]
    return grid(headings, rows, [False, True, True, True, True, True, True, False])


def _state(run: Run, measure: str) -> list[str]:
    wanted = run.recipe.get("train", {}).get("epochs", wording.NOTHING)
    values = [value for row in run.metrics if (value := _number(row.get(measure))) is not None]
    last = run.metrics[-1] if run.metrics else {}
    seconds = _number((run.summary or {}).get("seconds"))
    return [
        f"{run.epochs} of {wanted}",
        wording.percent(_number(last.get(measure))),
        wording.percent(max(values, default=None)),
        wording.percent(_number(last.get("agreement"))),
        wording.NOTHING if seconds is None else wording.duration(seconds),
        "finished" if run.finished else "unfinished",
    ]


def measure_of(group: RunGroup) -> str:
    """The key of what the runs are judged by."""
    rows = [row for run in group.every_run for row in run.metrics]
    return next((key for key in _MEASURES if any(key in row for row in rows)), _MEASURES[0])


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _cost(group: RunGroup) -> Grid:
    headings = ["method", "runs", "seconds per run", "seconds per epoch", "parameters", "student's file"]
    rows = []
    for method, runs in group.runs.items():
        whole = [seconds for run in runs if (seconds := _number((run.summary or {}).get("seconds"))) is not None]
        each = [seconds for run in runs for row in run.metrics if (seconds := _number(row.get("seconds"))) is not None]
        parameters = {run.summary["parameters"] for run in runs if run.summary and "parameters" in run.summary}
        sizes = {size for run in runs if (size := _bytes(run.path / STUDENT_FILE)) is not None}
        rows.append(
            [
                method,
                str(len(runs)),
                wording.duration(mean_std(whole).mean) if whole else wording.NOTHING,
                f"{mean_std(each).mean:.3g}" if each else wording.NOTHING,
                ", ".join(f"{count:,}" for count in sorted(parameters)) or wording.NOTHING,
                ", ".join(f"{size / 1e6:.2f} MB" for size in sorted(sizes)) or wording.NOTHING,
            ]
        )
    note = (
        "Seconds are those of the machine as it was; other work on it counts too. Only epochs that were judged count."
    )
    return grid(headings, rows, [False, *[True] * 5], note)


def _bytes(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _origin(group: RunGroup) -> Iterator[Part]:
    runs = group.every_run
    facts = [environment_facts(run.environment) for run in runs]
    names = dict.fromkeys(name for each in facts for name in each)
    rows = [[name, ", ".join(dict.fromkeys(each[name] for each in facts if name in each))] for name in names]
    if group.comparison is None and (mixed := describe_mixed_environments(runs)) is not None:
        yield sentences([mixed])
    if rows:
        yield Table("Environment", grid(["", "of the runs"], rows, [False, False]))
    for method, those in group.runs.items():
        yield Source(f"recipe of {method}, seed {those[0].seed}", json.dumps(those[0].recipe, indent=2))


def _found(table: FoundTable) -> Grid:
    right = [
        any(not isinstance(row[column], str | None) for row in table.rows) for column in range(len(table.headings))
    ]
    return grid(table.headings, [[cell(value) for value in row] for row in table.rows], right, table.note)
