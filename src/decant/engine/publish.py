"""Copying the evidence of a comparison to where it is kept: what shows a result, no weights, no path of a machine."""

import json
from functools import partial
from pathlib import Path
from shutil import copyfile

from decant.engine.checkpoint import write_atomically, write_text
from decant.engine.compare import COMPARED_FILE
from decant.engine.plan import Plan
from decant.engine.record import RUN_EVIDENCE, finished
from decant.engine.teacher import teacher_folder
from decant.recipe import Recipe, code_files

_PAGE = ("comparison.json", "README.md", "chart.png")


def refuse_results(results: Path) -> None:
    """Raise FileExistsError unless the folder is new or empty: nothing is overwritten, or mixed with older runs."""
    if results.exists() and (not results.is_dir() or any(results.iterdir())):
        raise FileExistsError(f"{results} is there already; remove it first, or give another folder with --results")


def publish(plan: Plan, teachers: Path, results: Path) -> None:
    """Copy the page of a finished comparison, its runs, and its teacher's run.

    Args:
        plan: the comparison; its runs are copied as far as they are finished.
        teachers: where its teacher is kept.
        results: a new folder.

    Raises:
        FileExistsError: ``results`` holds something.
    """
    refuse_results(results)
    for name in (*_PAGE, COMPARED_FILE, *code_files(plan.recipe)):
        _copy(plan.out / name, results / name)
    for run in (run for name in plan.names for run in plan.runs(name) if finished(run.folder)):
        _copy_run(run.folder, results / run.folder.relative_to(plan.out), run.recipe)
    teacher = plan.recipe.teacher
    if teacher is not None and teacher.recipe is not None:
        _copy_run(teacher_folder(teachers, teacher.recipe), results / "teacher", teacher.recipe)


def _copy_run(source: Path, target: Path, recipe: Recipe) -> None:
    for name in (*RUN_EVIDENCE, *code_files(recipe)):
        _copy(source / name, target / name)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.name in {"recipe.json", COMPARED_FILE}:
        values = json.loads(source.read_text(encoding="utf-8"))
        if values.get("teacher") and values["teacher"].get("weights"):
            values["teacher"]["weights"] = Path(values["teacher"]["weights"]).name
        write_text(target, json.dumps(values, indent=2) + "\n")
    else:
        write_atomically(target, partial(copyfile, source))
