"""Copying the evidence of a comparison or a study to where it is kept: no weights, and no path of a machine."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from shutil import copyfile
from typing import Any

from decant.engine.checkpoint import write_atomically, write_text
from decant.engine.compare import COMPARED_FILE
from decant.engine.plan import AnyPlan, Plan
from decant.engine.record import RUN_EVIDENCE, SUMMARY_FILE, differences, finished, kept_recipe
from decant.engine.teacher import Kept, teacher_folder
from decant.recipe import AnyRecipe, code_files, recipe_to_dict

_PAGE = ("comparison.json", "README.md", "chart.png")
_FINDINGS = ("findings.json", "README.md", "figure.png")
_TEACHER = "teacher"


def refuse_results(plan: AnyPlan, results: Path) -> None:
    """Raise FileExistsError unless publishing adds to the folder: it is new, or holds a part of this very comparison.

    Nothing is overwritten but the page, and that only by one that shows at least the same methods and seeds.
    """
    if not results.exists() or (results.is_dir() and not any(results.iterdir())):
        return
    if not (results / COMPARED_FILE).is_file():
        raise FileExistsError(f"{results} holds no comparison; remove it first, or give another folder with --results")
    kept = kept_recipe(results / COMPARED_FILE, plan.recipe)
    there, here = (portable(recipe_to_dict(kind.trained)) for kind in (kept, plan.recipe))
    if there != here:
        raise FileExistsError(
            f"{results} holds the comparison of another recipe ({'; '.join(differences(there, here)[:4])}); "
            "give another folder with --results"
        )
    if (results / "comparison.json").is_file():  # not yet, where copying was interrupted
        _refuse_less(plan, results)
    teachers = _teachers_of(plan)
    for summary in sorted(results.rglob(SUMMARY_FILE)):
        run = summary.parent.relative_to(results)
        if run.parts[0] not in teachers:
            _refuse_another_run(summary.parent, plan.out / run, plan.out)


def _refuse_another_run(kept: Path, ours: Path, out: Path) -> None:
    there, here = (folder / SUMMARY_FILE for folder in (kept, ours))
    if there.is_file() and not (here.is_file() and here.read_bytes() == there.read_bytes()):
        raise FileExistsError(
            f"{kept} is a run that {out} does not hold; bring it there, or give another folder with --results: runs of "
            "two origins are not mixed"
        )


def _refuse_less(plan: AnyPlan, results: Path) -> None:
    page = json.loads((results / "comparison.json").read_text(encoding="utf-8"))
    shown = {result["name"] for result in page["results"]}
    if lacking := sorted(shown - set(plan.names)) or sorted(set(page["seeds"]) - set(plan.seeds)):
        raise FileExistsError(
            f"{results} shows more than this comparison would ({', '.join(map(str, lacking))}); name all its methods "
            f"({', '.join(sorted(shown))}) and at least {len(page['seeds'])} seeds, or give another folder"
        )


def publish(plan: AnyPlan, teachers: Path, results: Path) -> None:
    """Copy the page of a finished comparison, its runs, and its teacher's run.

    Args:
        plan: the comparison; its runs are copied as far as they are finished.
        teachers: where its teacher is kept.
        results: a new folder, or one that holds a part of this comparison.

    Raises:
        FileExistsError: ``results`` holds something else.
    """
    refuse_results(plan, results)
    # The recipe first: it says whose folder this is, should copying be interrupted.
    for name in (COMPARED_FILE, *code_files(plan.recipe)):
        _copy(plan.out / name, results / name)
    for run in (run for name in plan.names for run in plan.runs(name) if finished(run.folder)):
        _copy_run(run.folder, results / run.folder.relative_to(plan.out), run.recipe)
    for name, recipe in _teachers_of(plan).items():
        _copy_run(teacher_folder(teachers, recipe), results / name, recipe)
    for name in _PAGE:
        _copy(plan.out / name, results / name)


def _teachers_of(plan: AnyPlan) -> dict[str, Kept]:
    """Name of a folder -> recipe of each of its teachers that comes from one."""
    return {f"{_TEACHER}-{number}" if number else _TEACHER: found for number, found in enumerate(plan.teachers)}


def refuse_study_results(name: str, plans: Mapping[str, Plan], results: Path) -> None:
    """Raise FileExistsError unless publishing this study adds to what ``results`` keeps of it.

    The runs of all studies lie in ``results/runs``; one that is there already must be the one that is published.
    """
    page = results / name / _FINDINGS[0]
    if page.is_file():
        for trial, there in json.loads(page.read_text(encoding="utf-8"))["comparisons"].items():
            if trial not in plans or (lacking := set(there["seeds"]) - set(plans[trial].seeds)):
                what = f"seeds {sorted(lacking)} of {trial}" if trial in plans else f"the comparison {trial}"
                raise FileExistsError(
                    f"{page.parent} shows more than this study would ({what}); give at least {len(there['seeds'])} "
                    "seeds, or another folder with --results"
                )
    for trial, plan in plans.items():
        for run in (run for method in plan.names for run in plan.runs(method)):
            _refuse_another_run(results / "runs" / trial / run.folder.relative_to(plan.out), run.folder, plan.out)


def publish_study(page: Path, plans: Mapping[str, Plan], teachers: Path, results: Path) -> None:
    """Copy the page of a study, its finished runs, and its teachers' runs.

    Args:
        page: the study's folder.
        plans: its comparisons, by name.
        teachers: where its teachers are kept.
        results: a folder for all studies of a size: page in ``results/NAME``, runs in ``results/runs``.

    Raises:
        FileExistsError: ``results`` holds other runs, or more of this study.
    """
    refuse_study_results(page.name, plans, results)
    for trial, plan in plans.items():
        for run in (run for method in plan.names for run in plan.runs(method) if finished(run.folder)):
            _copy_run(run.folder, results / "runs" / trial / run.folder.relative_to(plan.out), run.recipe)
        for recipe in plan.teachers:
            folder = teacher_folder(teachers, recipe)
            _copy_run(folder, results / "teachers" / folder.name, recipe)
    for name in _FINDINGS:
        _copy(page / name, results / page.name / name)


def _copy_run(source: Path, target: Path, recipe: AnyRecipe) -> None:
    # The summary last: it says that the run is there.
    for name in (*code_files(recipe), *RUN_EVIDENCE):
        _copy(source / name, target / name)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.name in {"recipe.json", COMPARED_FILE, "comparison.json"}:
        values = portable(json.loads(source.read_text(encoding="utf-8")))
        write_text(target, json.dumps(values, indent=2) + "\n")
    else:
        write_atomically(target, partial(copyfile, source))


def portable(values: Any) -> Any:
    """A recipe's values with the names of files of weights in the place of their paths: a recipe holds no others."""
    if isinstance(values, list):
        return [portable(value) for value in values]
    if not isinstance(values, dict):
        return values
    return {
        key: Path(value).name if key == "weights" and isinstance(value, str) else portable(value)
        for key, value in values.items()
    }
