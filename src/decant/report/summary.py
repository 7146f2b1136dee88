"""The page of a results folder: what was run, what came out, what it shows and what it does not."""

from collections.abc import Mapping
from typing import Any

from decant.evidence import Comparison, Metric, verdict
from decant.evidence.as_before import DATA_AS_BEFORE
from decant.report import wording
from decant.report.table import beside_markdown, comparison_markdown, markdown_table

_OF_OTHER_PICTURES = {"format": "coco", "train": None, "test": None, "drawn_train": 400, "drawn_test": 100}
"""Of detectors, what is told only where it is otherwise: of drawn pictures, or of a set not known by its name."""


def summary_markdown(comparison: Comparison, *, command: str, chart: str | None = None) -> str:
    """A README.md for a results folder, made of nothing but the comparison.

    Args:
        comparison: what was measured.
        command: the command that made it, as one would type it.
        chart: path of the chart, relative to the page; None leaves it out.

    Raises:
        ValueError: there is no command.
    """
    if not command.strip():
        raise ValueError(
            "expected the command that made these results, got none; a number nobody can repeat is no result"
        )
    parts = [
        f"# {wording.title(comparison)}",
        f"```\n{command.strip()}\n```",
        section("What was run", what_was_run(comparison)),
        section("Tuning", tuning_of(comparison)),
        section("Result", _result(comparison, chart)),
        _verdict(comparison),
        section("Every seed", _every_seed(comparison)),
    ]
    return "\n\n".join(parts) + "\n"


def section(heading: str, body: str) -> str:
    """A part of a page."""
    return f"## {heading}\n\n{body.strip()}"


def bullets(lines: list[str]) -> str:
    """A list of sentences."""
    return "\n".join(f"- {line}" for line in lines)


def what_was_run(comparison: Comparison) -> str:
    """Data, networks and seeds as a list."""
    name = wording.named(comparison.data)
    unused = DATA_AS_BEFORE | (_OF_OTHER_PICTURES if comparison.metric.key == "ap" and name != "shapes" else {})
    # A recipe lists with every data set what is of one alone, and what is rarely used; here it would hide the rest.
    settings = {
        key: value
        for key, value in comparison.data.items()
        if (name == "fake" or not key.startswith("fake_"))
        and (name == "pictures" or key != "pictures")
        and (key not in unused or value != unused[key])
    }
    size = f", {comparison.parameters:,} parameters" if comparison.parameters is not None else ""
    lines = [
        f"Data: {name} ({wording.settings(settings)}).",
        *(_teacher(teacher, comparison.metric) for teacher in comparison.teachers),
        f"Student: {wording.named(comparison.student)}{size}.",
        f"Every method: {comparison.epochs} epochs, seeds {wording.seeds(comparison.seeds)}, the same for all.",
        f"Judged on: the {comparison.split} split.",
    ]
    return bullets(lines)


def _teacher(teacher: Mapping[str, Any], metric: Metric) -> str:
    score = teacher.get(metric.key)
    judged = f", {metric.name} {score:.2f}%" if isinstance(score, int | float) else ""
    return f"Teacher: {wording.named(teacher)}{judged}, weights sha256 `{teacher['sha256']}`."


def tuning_of(comparison: Comparison) -> str:
    """How settings were chosen, as a table."""
    rows = [
        [
            result.name,
            result.tuning.parameter,
            ", ".join(f"{wording.setting(value)}: {top1:.2f}" for value, top1 in result.tuning.candidates.items()),
            wording.setting(result.tuning.chosen),
            wording.seeds(result.tuning.seeds),
            result.tuning.split,
        ]
        for result in comparison.results
        if result.tuning is not None
    ]
    if not rows:
        return "Nothing was tuned: all settings are as given."
    headings = ["method", "setting", f"candidate: mean {comparison.metric.name}, %", "chosen", "seeds", "judged on"]
    given = [result.name for result in comparison.results if result.tuning is None]
    rest = f"\nAs given, not tuned: {', '.join(given)}." if given else ""
    return markdown_table(headings, rows, [False] * len(headings)) + rest


def _result(comparison: Comparison, chart: str | None) -> str:
    judged = _first_upper(comparison.metric.name)
    explained = (
        f"{judged} as mean ± sample standard deviation over seeds. Differences: percentage points after the last "
        "epoch, paired by seed, with the 95% Student-t interval of their mean. "
        "The best epoch is the highest of those that were judged (`train.evaluate_every`), picked on the "
        f"{comparison.split} split itself: it is here because published tables report it, and nothing below rests on "
        "it."
    )
    drawn = f"\n\n![{judged} of every seed, and differences with intervals]({chart})" if chart else ""
    further = (
        f"\n\nBeside it, deciding nothing:\n\n{beside}".rstrip() if (beside := beside_markdown(comparison)) else ""
    )
    return f"{comparison_markdown(comparison)}\n{explained}{drawn}{further}"


def _first_upper(name: str) -> str:
    return name[0].upper() + name[1:]


def _verdict(comparison: Comparison) -> str:
    said = verdict(comparison)
    shown = [claim.text for claim in said.claims if claim.outcome in ("helped", "hurt")]
    open_questions = [claim.text for claim in said.claims if claim.outcome not in ("helped", "hurt")]
    sections = [
        section("What was shown", bullets(shown) or "Nothing."),
        section(
            "What was not shown", bullets(list(dict.fromkeys(open_questions)) or ["All questions have an answer."])
        ),
    ]
    if said.caveats:
        sections.append(section("Read with care", bullets(list(said.caveats))))
    return "\n\n".join(sections)


def _every_seed(comparison: Comparison) -> str:
    headings = ["seed", *(result.name for result in comparison.results)]
    rows = [[str(seed), *(f"{result.last[seed]:.2f}" for result in comparison.results)] for seed in comparison.seeds]
    judged = _first_upper(comparison.metric.name)
    return f"{judged} after the last epoch, in percent.\n\n{markdown_table(headings, rows, [True] * len(headings))}"
