"""One comparison from the command line: run it, write its page, say what it shows, keep the evidence."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from decant.detection.recipe import DetectionRecipe
    from decant.engine import Places
    from decant.engine.plan import AnyPlan
    from decant.evidence import Comparison
    from decant.recipe import Recipe


@dataclass(frozen=True)
class Asked:
    """What was asked for.

    Attributes:
        recipe: what all runs share.
        names: methods by name.
        seeds: how many.
        folder: of all runs.
        command: the words that were typed, or that do the same.
        results: where the evidence is copied to; None for nowhere.
    """

    recipe: "Recipe | DetectionRecipe"
    names: Sequence[str]
    seeds: int
    folder: Path
    command: Sequence[str]
    results: Path | None = None


def names_of(methods: str) -> list[str]:
    """The names in a comma-separated list."""
    return [name.strip() for name in methods.split(",") if name.strip()]


def refuse_early(asked: Asked) -> None:
    """Raise FileExistsError now where the evidence could not be copied in the end."""
    from decant.engine.publish import refuse_results

    if asked.results is not None:
        refuse_results(_plan(asked), asked.results)


def compare_and_write(asked: Asked, places: "Places", console: Console) -> None:
    """Run what is not done yet, and leave table, chart and verdict in the folder."""
    from decant.engine.parallel import is_main_process
    from decant.engine.publish import publish
    from decant.evidence import verdict
    from decant.report import comparison_table, write_comparison

    refuse_early(asked)
    comparison = _compare(asked, places, console)
    if not is_main_process():
        return
    write_comparison(comparison, asked.folder, command=shlex.join(asked.command))
    console.print(comparison_table(comparison))
    for line in verdict(comparison).lines:
        console.print(line, highlight=False, markup=False)
    if asked.results is not None:
        publish(_plan(asked), places.teachers, asked.results)
    console.print(
        f"in {asked.folder}: README.md, chart.png, comparison.json, all runs", highlight=False, soft_wrap=True
    )


def _plan(asked: Asked) -> "AnyPlan":
    from decant.detection.compare import DetectionPlan
    from decant.engine.plan import Plan
    from decant.recipe import Recipe

    if isinstance(asked.recipe, Recipe):
        return Plan(asked.recipe, asked.names, asked.seeds, asked.folder)
    return DetectionPlan(asked.recipe, asked.names, asked.seeds, asked.folder)


def _compare(asked: Asked, places: "Places", console: Console) -> "Comparison":
    from decant.detection.compare import compare_detectors
    from decant.engine.compare import compare
    from decant.engine.progress import reporter_for
    from decant.recipe import Recipe

    names, seeds, folder, reporter = asked.names, asked.seeds, asked.folder, reporter_for(console)
    if isinstance(asked.recipe, Recipe):
        return compare(asked.recipe, names, seeds, folder, places, reporter=reporter)
    return compare_detectors(asked.recipe, names, seeds, folder, places, reporter=reporter)
