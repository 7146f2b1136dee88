"""Methods for any number of classes to a picture, side by side on mean average precision."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from command_line import Run
from decant.data import load_pictures
from decant.engine import Places
from decant.engine.compare import compare
from decant.engine.plan import Plan
from decant.engine.tune import tune
from decant.engine.tuning_findings import tuning_findings
from decant.evidence.metric import METRICS
from decant.methods import BernoulliDKDSettings, BernoulliKDSettings, BernoulliSettings
from decant.recipe import ROLES, CompareSettings, Recipe, TeacherSettings, recipe_to_dict
from engine.multilabel_pictures import lit_pictures
from engine.test_multilabel_runs import DATA, RECIPE, TEACHER
from engine.tiny import rows_of, weights_of

CONTROL = "bernoulli_kd-matched"
HELD = replace(DATA, validation=0.25)
TUNED = replace(
    RECIPE,
    data=HELD,
    teacher=TeacherSettings(recipe=replace(TEACHER, data=HELD, train=replace(TEACHER.train, epochs=8))),
    compare=CompareSettings(tune={"bernoulli_dkd": {"alpha": (0.5, 8.0)}, CONTROL: {"weight": (0.5, 8.0)}}),
)


@pytest.fixture
def here(tmp_path: Path) -> Places:
    return Places(tmp_path / "teachers", lit_pictures(tmp_path / "lit"), "cpu")


def test_the_command_comes_to_a_verdict(tmp_path: Path, here: Places, decant: Run) -> None:
    (tmp_path / "recipe.json").write_text(json.dumps(recipe_to_dict(TUNED)))
    out = tmp_path / "out"
    code, told, err = decant(
        *("compare", str(tmp_path / "recipe.json"), "--seeds", "3"),
        *("--out", str(out), "--results", str(tmp_path / "results"), "--teachers", str(here.teachers)),
        *("--data", str(here.data), "--device", "cpu", "--workers", "0"),
    )
    assert code == 0, err
    assert "bernoulli_dkd against bernoulli: " in told
    assert f"bernoulli_dkd against {CONTROL}: " in told
    assert "points of mean average precision" in " ".join(told.split())
    assert "No verdict" not in told
    made = json.loads((out / "comparison.json").read_text())
    assert (made["metric"], made["baseline"], made["control"]) == ("map", "bernoulli", CONTROL)
    for result in made["results"]:
        for run in result["runs"]:
            last = rows_of(out / result["name"] / f"seed-{run['seed']}")[-1]
            assert (run["last"], run["f1"], run["exact"]) == (last["map"], last["f1"], last["exact"])
    names = [result["name"] for result in made["results"]]
    assert names == ["bernoulli", "bernoulli_kd", CONTROL, "bernoulli_dkd"], "the task's own, unless others are named"
    tuned = made["results"][-1]["tuning"]
    judged = {
        each["value"]: rows_of(out / f"tuning/bernoulli_dkd-alpha-{each['value']:g}/seed-1000")[-1]
        for each in tuned["candidates"]
    }
    assert {row["split"] for row in judged.values()} == {"validation"}
    assert tuned["chosen"] == max(judged, key=lambda value: judged[value]["map"])
    (teacher,) = made["teachers"]
    assert f"mean average precision {teacher['map']:.2f}%" in (out / "README.md").read_text()
    assert "| F1, % |" in (out / "README.md").read_text()
    assert (tmp_path / "results" / "bernoulli_dkd" / "seed-2" / "summary.json").is_file()
    code, told, err = decant("report", str(out), "--markdown")
    assert (code, err) == (0, "")
    assert f"bernoulli_dkd against {CONTROL}" in told


def test_alpha_equal_to_beta_is_the_control(tmp_path: Path, here: Places) -> None:
    recipe = replace(RECIPE, method=BernoulliDKDSettings(alpha=3.0, beta=3.0, temperature=2.0))
    made = compare(recipe, [CONTROL, "bernoulli_dkd"], 1, tmp_path / "out", here)
    assert made.result(CONTROL).settings == {"task_weight": 1.0, "weight": 3.0, "temperature": 2.0, "warmup": 0}
    control, decoupled = (weights_of(tmp_path / "out" / name / "seed-0") for name in (CONTROL, "bernoulli_dkd"))
    assert all(torch.allclose(control[key], decoupled[key], atol=1e-5) for key in control)
    assert made.result(CONTROL).last[0] == pytest.approx(made.result("bernoulli_dkd").last[0])


def plan(recipe: Recipe, *names: str) -> Plan:
    return Plan(recipe, names, 1, Path("out"))


def test_what_cannot_be_compared_is_refused(tmp_path: Path, here: Places) -> None:
    with pytest.raises(ValueError, match='method dkd is not for task = "multilabel"'):
        plan(RECIPE, "bernoulli", "dkd")
    with pytest.raises(ValueError, match='method kd is not for task = "multilabel"'):
        plan(RECIPE, "bernoulli", "kd-matched")
    with pytest.raises(ValueError, match="these methods learn from a teacher"):
        plan(replace(RECIPE, teacher=None, method=BernoulliSettings()), "bernoulli_kd")
    plan(replace(RECIPE, teacher=None, method=BernoulliSettings()), "bernoulli")
    cooler = CompareSettings(methods={CONTROL: BernoulliKDSettings(temperature=2.0)})
    with pytest.raises(ValueError, match=f"{CONTROL} must share bernoulli_dkd's temperature"):
        plan(replace(RECIPE, compare=cooler), CONTROL, "bernoulli_dkd")
    alone = CompareSettings(tune={"bernoulli_dkd": {"alpha": (1.0, 2.0)}})
    with pytest.raises(ValueError, match=f"names only one of bernoulli_dkd and {CONTROL}"):
        plan(replace(TUNED, compare=alone), CONTROL, "bernoulli_dkd")


def test_weights_are_searched_and_the_best_recipe_is_compared(tmp_path: Path, here: Places) -> None:
    pytest.importorskip("optuna", reason="needs the extra [tune]")
    found = tune(replace(TUNED, compare=CompareSettings()), tmp_path / "tuned", here, trials=2, epochs=2)
    assert [(each.name, len(each.trials)) for each in found.searches] == [("bernoulli_dkd", 2), (CONTROL, 2)]
    runs = [json.loads(path.read_text()) for path in (tmp_path / "tuned").rglob("summary.json")]
    scores = sorted(round(run["last"]["map"], 6) for run in runs if run["last"]["split"] == "validation")
    assert scores == sorted(round(score, 6) for each in found.searches for _, score in each.trials)
    method, matched = found.recipe.method, found.recipe.compare.methods[CONTROL]
    assert isinstance(method, BernoulliDKDSettings)
    assert isinstance(matched, BernoulliKDSettings)
    assert (matched.temperature, matched.weight) == (method.temperature, found.searches[1].best["weight"])
    assert list(found.recipe.compare.tune["bernoulli_dkd"]) == ["alpha"]
    plan = Plan(found.recipe, ["bernoulli", CONTROL, "bernoulli_dkd"], 3, tmp_path / "compared")
    assert plan.tuned.keys() == {"bernoulli_dkd", CONTROL}
    tables = tuning_findings(found).tables
    assert "mean average precision on validation, %" in tables[0].headings


def test_validation_pictures_are_drawn_from_all(here: Places) -> None:
    whole, splits = (load_pictures(data, here.data, several=True) for data in (DATA, HELD))
    assert splits.validation is not None
    held, trained = ({str(part.path(row)) for row in range(part.size)} for part in (splits.validation, splits.train))
    assert len(held) == round(0.25 * whole.train.size)
    assert held | trained == {str(whole.train.path(row)) for row in range(whole.train.size)}
    assert not held & trained
    for row in range(splits.validation.size):
        place = int(splits.validation.path(row).stem)
        assert splits.validation.target[row].tolist() == [float(place >> bit & 1) for bit in range(3)]
    other = load_pictures(replace(HELD, split_seed=1), here.data, several=True).validation
    assert other is not None
    assert held != {str(other.path(row)) for row in range(other.size)}


def test_a_cut_that_nothing_can_be_learned_or_judged_from_is_refused(tmp_path: Path, here: Places) -> None:
    drawn = load_pictures(HELD, here.data, several=True).validation
    assert drawn is not None
    assert here.data is not None
    name = drawn.path(0).name
    lines = [f"{line}|rare" if line.startswith(f"{name},") else line for line in here.data.read_text().split("\n")]
    rare = tmp_path / "lit" / "rare.csv"
    rare.write_text("\n".join(lines))
    with pytest.raises(ValueError, match=r"leaves no image of class 'rare' to train on; take another data\.split_seed"):
        load_pictures(HELD, rare, several=True)
    with pytest.raises(ValueError, match=r"takes 1 of 32 images, among which no class is had by some"):
        load_pictures(replace(HELD, validation=0.02), here.data, several=True)


def test_both_layers_name_the_same_roles() -> None:
    for task, roles in ROLES.items():
        metric = METRICS[task]
        names = (roles.baseline.name, roles.matched.name, roles.decoupled.name, roles.control)
        assert names == (metric.baseline, metric.distilled, metric.decoupled, metric.matched)
