"""Runs with networks out of a file: the code is kept beside the recipe, and changed code is refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from data.made_pictures import folder as picture_folder
from decant.engine import Places, load_student, train
from decant.engine.judge import evaluate_run
from decant.engine.own_pictures import Wanted, distill_pictures
from decant.engine.teacher import teacher_folder
from decant.recipe import Recipe, RecipeError, load_recipe, recipe_to_dict
from engine.tiny import InterruptAfter, LostMachineError, contents, places, recipe, rows_of, weights_of

CODE = """
from torch import nn


def student(num_classes, in_channels):
    return _network(in_channels, 8, num_classes)


def teacher(num_classes, in_channels, width=16):
    return _network(in_channels, width, num_classes)


def _network(channels, width, classes):
    body = nn.Sequential(nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.Dropout(0.1))
    return nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    path = tmp_path / "nets.py"
    path.write_text(CODE)
    return path


def own(code: Path, **method: object) -> Recipe:
    """A tiny recipe whose networks are both out of the file."""
    values = recipe_to_dict(recipe())
    taught = {**values, "student": {"name": f"{code.name}:teacher"}, "seed": 5}
    values |= {"student": {"name": f"{code.name}:student"}, "teacher": {"recipe": taught}}
    if method:
        values["method"] = method
    path = code.parent / "recipe.json"
    path.write_text(json.dumps(values))
    return load_recipe(path, trust_code=True)


def run(code: Path, out: str = "run", reporter: InterruptAfter | None = None) -> Path:
    folder = code.parent / out
    train(own(code, name="dkd", warmup=1), folder, places(code.parent), announce=False, reporter=reporter)
    return folder


def test_both_networks_are_trained_and_their_code_is_kept(code: Path) -> None:
    folder = run(code)
    assert (folder / "nets.py").read_text() == CODE
    assert weights_of(folder).keys() >= {"0.0.weight", "3.bias"}
    teacher = own(code).teacher
    assert teacher is not None
    assert teacher.recipe is not None
    kept = teacher_folder(code.parent / "teachers", teacher.recipe)
    assert (kept / "nets.py").read_text() == CODE
    assert ":" not in kept.name
    code.unlink()
    with pytest.raises(RecipeError, match="is code"):
        load_recipe(folder / "recipe.json")
    again = load_recipe(folder / "recipe.json", trust_code=True)
    train(again, code.parent / "again", places(code.parent), announce=False)
    assert rows_of(code.parent / "again")[-1]["top1"] == rows_of(folder)[-1]["top1"]


def test_an_interrupted_run_goes_on(code: Path) -> None:
    whole = run(code, "whole")
    with pytest.raises(LostMachineError):
        run(code, "parts", InterruptAfter(6))
    parts = run(code, "parts")
    assert (parts / "student.safetensors").read_bytes() == (whole / "student.safetensors").read_bytes()


def test_a_run_is_not_gone_on_with_by_changed_code(code: Path) -> None:
    folder = run(code)
    before = contents(folder)
    code.write_text(CODE.replace("0.1", "0.2"))
    with pytest.raises(FileExistsError, match=r"nets\.py has changed since"):
        run(code)
    assert contents(folder) == before


def test_a_student_is_evaluated_where_its_code_is_trusted(code: Path) -> None:
    folder = run(code)
    with pytest.raises(RecipeError, match="is code"):
        evaluate_run(folder, places(code.parent))
    judged = evaluate_run(folder, places(code.parent), trust_code=True)
    assert judged.score.top1 == rows_of(folder)[-1]["top1"]


def test_features_are_named_by_module_path(code: Path) -> None:
    values = recipe_to_dict(own(code, name="sp"))
    values["student"]["taps"] = {"stage1": "0"}
    values["teacher"]["taps"] = {"stage1": "0.2"}
    told = own(code)
    named = load_recipe(_written(code, values), trust_code=True)
    train(named, code.parent / "run", places(code.parent), announce=False)
    assert rows_of(code.parent / "run")[-1]["terms"].keys() == {"hard", "sp"}
    values["student"]["taps"] = {"stage1": "0.9"}
    with pytest.raises(ValueError, match=r"student\.taps: tap 'stage1': the network has no module '0\.9'; nearest: '0"):
        train(load_recipe(_written(code, values), trust_code=True), code.parent / "x", places(code.parent))
    assert told.student.taps == {}


def _written(code: Path, values: dict[str, object]) -> Path:
    path = code.parent / "named.json"
    path.write_text(json.dumps(values))
    return path


def test_distill_takes_them(code: Path, tmp_path: Path) -> None:
    pictures = picture_folder(tmp_path / "pets", {"cat": 8, "dog": 8})
    wanted = Wanted(
        teacher=f"{code}:teacher", student=f"{code}:student", size=8, epochs=1, seeds=1, control=False, anyway=True
    )
    out = tmp_path / "out"
    places = Places(out / "teachers", pictures, "cpu")
    with pytest.raises(ValueError, match=r"nets\.py:student is code: .* allow it with --trust-code"):
        distill_pictures(wanted, out, places)
    assert not out.exists()
    changes = ("train.batch_size=8", "teacher.recipe.student.options.width=12")
    made = distill_pictures(replace(wanted, trust_code=True, changes=changes), out, places)
    recipe = json.loads((made.runs / "dkd" / "seed-0" / "recipe.json").read_text())
    assert recipe["student"]["name"] == "nets.py:student"
    assert recipe["teacher"]["recipe"]["student"]["options"] == {"width": 12}
    assert (made.runs / "dkd" / "seed-0" / "nets.py").read_text() == CODE
    student = load_student(out, trust_code=True)
    assert student.classes == ("cat", "dog")
    distill_pictures(replace(wanted, trust_code=True, changes=changes), out, places)
    (out / "nets.py").write_text("mine")
    with pytest.raises(FileExistsError, match=r"nets\.py is other code than that of the student"):
        distill_pictures(replace(wanted, trust_code=True, changes=changes), out, places)
    assert (out / "nets.py").read_text() == "mine"
