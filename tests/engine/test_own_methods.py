"""Runs and comparisons with a method out of a file: its code is kept beside the recipe, and changed code is refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from decant.engine import train
from decant.engine.compare import compare
from decant.engine.judge import evaluate_run
from decant.engine.plan import Plan
from decant.engine.publish import publish
from decant.engine.teacher import teacher_folder
from decant.methods import DKDSettings
from decant.recipe import Recipe, RecipeError, load_recipe, recipe_to_dict
from engine.tiny import (
    TEACHER,
    InterruptAfter,
    LostMachineError,
    contents,
    places,
    recipe,
    rows_of,
    untrained_teacher,
    weights_of,
)

CODE = """
from dataclasses import dataclass

from torch.nn.functional import cross_entropy, mse_loss

from decant import Method


@dataclass(frozen=True)
class MatchSettings:
    name: str = "match"
    weight: float = 0.1

    def build(self, context):
        return Match(self.weight)


class Match(Method):
    def __init__(self, weight):
        super().__init__()
        self.weight = weight

    def forward(self, student, teacher, batch):
        match = mse_loss(student.logits, teacher.logits)
        return {"hard": cross_entropy(student.logits, batch.target), "match": match}

    def weights(self, epoch):
        return {"hard": 1.0, "match": self.weight}
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    path = tmp_path / "match.py"
    path.write_text(CODE)
    return path


def own(code: Path, *, weight: float = 0.1, compared: dict[str, float] | None = None) -> Recipe:
    """A tiny recipe by the method in the file; compared: by name, the weight of another one."""
    values = recipe_to_dict(recipe())
    values["teacher"] = {"recipe": recipe_to_dict(TEACHER)}
    values["method"] = {"name": f"{code.name}:MatchSettings", "weight": weight}
    methods = {
        name: {"name": f"{code.name}:MatchSettings", "weight": weight} for name, weight in (compared or {}).items()
    }
    values["compare"] = {"methods": methods}
    path = code.parent / "recipe.json"
    path.write_text(json.dumps(values))
    return load_recipe(path, trust_code=True)


def run(code: Path, out: str, weight: float = 0.1) -> Path:
    folder = code.parent / out
    train(own(code, weight=weight), folder, places(code.parent), teacher=untrained_teacher(), announce=False)
    return folder


def test_a_run_keeps_recipe_and_code_and_starts_anew_from_them(code: Path) -> None:
    folder = run(code, "run", weight=0.2)
    assert (folder / "match.py").read_text() == CODE
    method = json.loads((folder / "recipe.json").read_text())["method"]
    assert (method["name"], method["weight"]) == ("match.py:MatchSettings", 0.2)
    assert rows_of(folder)[-1]["terms"].keys() == {"hard", "match"}
    code.unlink()
    again = load_recipe(folder / "recipe.json", trust_code=True)
    other = code.parent / "again"
    train(again, other, places(code.parent), teacher=untrained_teacher(), announce=False)
    assert weights_of(other).keys() == weights_of(folder).keys()
    assert rows_of(other) == rows_of(folder)
    with pytest.raises(RecipeError, match="is code"):
        load_recipe(folder / "recipe.json")


def test_an_interrupted_run_goes_on(code: Path) -> None:
    whole, folder = run(code, "whole"), code.parent / "parts"
    with pytest.raises(LostMachineError):
        train(
            own(code),
            folder,
            places(code.parent),
            teacher=untrained_teacher(),
            announce=False,
            reporter=InterruptAfter(6),
        )
    run(code, "parts")
    assert (folder / "student.safetensors").read_bytes() == (whole / "student.safetensors").read_bytes()


@pytest.mark.parametrize("finished", [True, False])
def test_a_run_is_not_gone_on_with_by_changed_code(finished: bool, code: Path) -> None:
    folder = code.parent / "run"
    reporter = None if finished else InterruptAfter(6)
    try:
        train(own(code), folder, places(code.parent), teacher=untrained_teacher(), announce=False, reporter=reporter)
    except LostMachineError:
        assert not finished
    before = contents(folder)
    code.write_text(CODE.replace("1.0", "0.5"))
    with pytest.raises(
        FileExistsError, match=r"match\.py has changed since \(sha256 there [0-9a-f]{64}, here [0-9a-f]"
    ):
        run(code, "run")
    assert contents(folder) == before
    run(code, "new")


def test_a_run_by_another_method_is_refused_as_another_recipe(code: Path) -> None:
    run(code, "run")
    with pytest.raises(FileExistsError, match=r"of another recipe \(.*method\.name: there 'match\.py:MatchSettings'"):
        train(recipe(), code.parent / "run", places(code.parent), announce=False)
    with pytest.raises(FileExistsError, match=r"method\.weight: there 0\.1, here 0\.3"):
        run(code, "run", weight=0.3)


def test_a_teacher_that_was_trained_by_code_is_found_by_it(code: Path) -> None:
    kept, wanted = run(code, "teachers/digits_student-fake-renamed"), own(code)
    assert teacher_folder(code.parent / "teachers", wanted) == kept
    assert teacher_folder(code.parent / "teachers", recipe()) != kept
    code.write_text(CODE + "\n")
    assert teacher_folder(code.parent / "teachers", own(code)) != kept


def test_a_run_by_code_is_evaluated_where_that_is_trusted(code: Path) -> None:
    folder = run(code, "run")
    with pytest.raises(RecipeError, match="is code"):
        evaluate_run(folder, places(code.parent))
    judged = evaluate_run(folder, places(code.parent), trust_code=True)
    assert judged.score.top1 == rows_of(folder)[-1]["top1"]


def test_a_comparison_of_own_methods_keeps_their_code_and_publishes_it(code: Path) -> None:
    compared = own(code, compared={"gentle": 0.05, "eager": 0.3})
    out, results, names = code.parent / "out", code.parent / "results", ["supervised", "gentle", "eager"]
    first = compare(compared, names, 1, out, places(code.parent))
    assert [result.name for result in first.results] == names
    assert first.results[1].settings["weight"] == 0.05
    compare(compared, names, 1, out, places(code.parent))  # goes on: nothing to do
    for name in ("comparison.json", "README.md", "chart.png"):
        (out / name).write_text("{}")
    publish(Plan(compared, names, 1, out), code.parent / "teachers", results)
    for folder in (out, out / "gentle" / "seed-0", results, results / "eager" / "seed-0"):
        assert (folder / "match.py").read_text() == CODE
    assert not (results / "supervised" / "seed-0" / "match.py").exists()
    assert load_recipe(results / "compared.json", trust_code=True) == compared
    code.write_text(CODE.replace("1.0", "0.5"))
    with pytest.raises(FileExistsError, match=r"match\.py has changed since"):
        compare(own(code, compared={"gentle": 0.05, "eager": 0.3}), names, 1, out, places(code.parent))


def test_changed_code_of_a_compared_method_is_refused_before_anything_is_written(code: Path) -> None:
    def beside_dkd() -> Recipe:
        return replace(own(code, compared={"gentle": 0.05}), method=DKDSettings())

    out = code.parent / "out"
    compare(beside_dkd(), ["dkd", "gentle"], 1, out, places(code.parent))
    code.write_text(CODE.replace("1.0", "0.5"))
    with pytest.raises(FileExistsError, match=r"match\.py has changed since"):
        compare(beside_dkd(), ["dkd", "gentle"], 2, out, places(code.parent))
    assert (out / "match.py").read_text() == CODE
    assert not (out / "dkd" / "seed-1").exists()
