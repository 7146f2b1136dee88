import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import save_file

from decant.engine.compare import compare
from decant.engine.plan import Plan
from decant.engine.publish import publish, refuse_results
from decant.evidence import read_run
from decant.methods import DKDSettings
from decant.models import create
from decant.recipe import NetworkSettings, Recipe, TeacherSettings
from decant.report import write_comparison
from engine.tiny import CLASSES, TEACHER, places, recipe, untrained_teacher

NAMES = ["supervised", "dkd"]


def published(of: Recipe, folder: Path) -> Path:
    write_comparison(compare(of, NAMES, 1, folder / "all", places(folder)), folder / "all", command="decant compare")
    publish(Plan(of, NAMES, 1, folder / "all"), folder / "teachers", folder / "results")
    return folder / "results"


def names_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_what_shows_a_result_is_kept_and_no_weights(tmp_path: Path) -> None:
    results = published(recipe(DKDSettings()), tmp_path)
    run = {"recipe.json", "environment.json", "metrics.jsonl", "summary.json"}
    expected = {"README.md", "chart.png", "comparison.json", "compared.json"}
    expected |= {f"{place}/{name}" for place in ("supervised/seed-0", "dkd/seed-0", "teacher") for name in run}
    assert names_of(results) == expected
    assert read_run(results / "dkd" / "seed-0").last_score == read_run(tmp_path / "all" / "dkd" / "seed-0").last_score


def test_no_path_of_this_machine_is_kept(tmp_path: Path) -> None:
    weights = tmp_path / "private" / "teacher.safetensors"
    weights.parent.mkdir()
    save_file(untrained_teacher().network.state_dict(), weights)
    teacher = TeacherSettings(name="digits_teacher", weights=str(weights))
    results = published(replace(recipe(DKDSettings()), teacher=teacher), tmp_path)
    kept = json.loads((results / "dkd" / "seed-0" / "recipe.json").read_text())
    assert kept["teacher"]["weights"] == "teacher.safetensors"
    for path in results.rglob("*"):
        if path.is_file():
            assert str(tmp_path).encode() not in path.read_bytes(), path


def test_nothing_of_the_student_s_start_or_of_further_teachers_is_left_out_or_tells_a_path(tmp_path: Path) -> None:
    first, second = TEACHER, replace(TEACHER, seed=6)
    start = tmp_path / "private" / "start.safetensors"
    start.parent.mkdir()
    save_file(create("digits_student", num_classes=CLASSES, in_channels=3).state_dict(), start)
    of = replace(
        recipe(DKDSettings()),
        student=NetworkSettings("digits_student", weights=str(start)),
        teacher=TeacherSettings(recipe=first, also=(TeacherSettings(recipe=second),)),
    )
    results = published(of, tmp_path)
    seeds = [json.loads((results / name / "recipe.json").read_text())["seed"] for name in ("teacher", "teacher-1")]
    assert seeds == [first.seed, second.seed]
    for path in results.rglob("*"):
        assert not path.is_file() or str(tmp_path).encode() not in path.read_bytes(), path
    publish(Plan(of, NAMES, 1, tmp_path / "all"), tmp_path / "teachers", results)  # its teachers are no other's runs


def test_copying_that_was_interrupted_goes_on(tmp_path: Path) -> None:
    results = published(recipe(DKDSettings()), tmp_path)
    for name in ("comparison.json", "dkd/seed-0/summary.json"):
        (results / name).unlink()
    publish(plan(tmp_path), tmp_path / "teachers", results)
    assert (results / "comparison.json").is_file()
    assert (results / "dkd" / "seed-0" / "summary.json").is_file()


def plan(tmp_path: Path, names: Sequence[str] = NAMES, *, seeds: int = 1, of: Recipe | None = None) -> Plan:
    return Plan(of or recipe(DKDSettings()), names, seeds, tmp_path / "all")


def test_a_folder_that_holds_anything_else_is_refused(tmp_path: Path) -> None:
    refuse_results(plan(tmp_path), tmp_path / "new")
    (tmp_path / "empty").mkdir()
    refuse_results(plan(tmp_path), tmp_path / "empty")
    (tmp_path / "file").write_text("")
    for taken in (tmp_path, tmp_path / "file"):
        with pytest.raises(FileExistsError, match="holds no comparison; remove it first"):
            refuse_results(plan(tmp_path), taken)


def test_results_grow_by_methods_and_seeds(tmp_path: Path) -> None:
    of = recipe(DKDSettings())
    results = published(of, tmp_path)
    before = (results / "dkd" / "seed-0" / "summary.json").read_bytes()
    more = [*NAMES, "kd"]
    write_comparison(compare(of, more, 2, tmp_path / "all", places(tmp_path)), tmp_path / "all", command="decant more")
    publish(Plan(of, more, 2, tmp_path / "all"), tmp_path / "teachers", results)
    assert (results / "dkd" / "seed-0" / "summary.json").read_bytes() == before
    assert (results / "kd" / "seed-1" / "summary.json").is_file()
    assert "decant more" in (results / "README.md").read_text()


def test_results_neither_shrink_nor_mix_with_other_runs(tmp_path: Path) -> None:
    results = published(recipe(DKDSettings()), tmp_path)
    with pytest.raises(FileExistsError, match=r"shows more than this comparison would \(dkd\)"):
        refuse_results(plan(tmp_path, ["supervised"]), results)
    other = plan(tmp_path, of=recipe(DKDSettings(), epochs=9))
    with pytest.raises(FileExistsError, match=r"another recipe .*train\.epochs"):
        refuse_results(other, results)
    summary = tmp_path / "all" / "dkd" / "seed-0" / "summary.json"
    summary.write_text(summary.read_text() + " ")
    with pytest.raises(FileExistsError, match="runs of two origins are not mixed"):
        publish(plan(tmp_path), tmp_path / "teachers", results)
