from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from decant.engine.plan import FIRST_TUNING_SEED, Plan
from decant.interfaces import MethodSettings
from decant.methods import DKDSettings, KDSettings, SupervisedSettings
from decant.recipe import CompareSettings, DOTSettings, OptimizerSettings, Recipe
from engine.tiny import DATA, recipe

GRIDS: dict[str, dict[str, tuple[float, ...]]] = {
    "dkd": {"beta": (1.0, 2.0, 4.0)},
    "kd-matched": {"weight": (0.5, 1.0, 3.0)},
}


def compared(*, method: MethodSettings | None = None, **settings: Any) -> Recipe:
    held_out = replace(DATA, validation=0.25)
    planned = recipe(method or DKDSettings(warmup=2), seed=5)
    teacher = planned.teacher
    assert teacher is not None
    assert teacher.recipe is not None
    teacher = replace(teacher, recipe=replace(teacher.recipe, data=held_out))
    return replace(planned, data=held_out, teacher=teacher, compare=CompareSettings(**settings))


def test_a_plan_has_every_shown_run_once_and_every_candidate_with_every_seed() -> None:
    plan = Plan(compared(tune=GRIDS, tuning_seeds=2), ["supervised", "kd-matched", "dkd"], 3, Path("out"))
    runs = {name: list(plan.runs(name)) for name in plan.names}
    assert {name: len(of) for name, of in runs.items()} == {"supervised": 3, "kd-matched": 9, "dkd": 9}
    folders = [run.folder for of in runs.values() for run in of]
    assert len(set(folders)) == len(folders)
    assert list(plan.seeds) == [5, 6, 7]
    assert [run.recipe.seed for run in runs["supervised"]] == [5, 6, 7]
    for value, candidate in plan.tuning("dkd").items():
        assert [run.recipe.seed for run in candidate] == [FIRST_TUNING_SEED, FIRST_TUNING_SEED + 1]
        assert {run.recipe.method for run in candidate} == {DKDSettings(beta=value, warmup=2)}
        assert {run.recipe.judged_on for run in candidate} == {"validation"}
        assert candidate[0].folder == Path(f"out/tuning/dkd-beta-{value:g}/seed-1000")
    shown = plan.shown("kd-matched", 6, chosen=3.0)
    assert shown.recipe.method == KDSettings(task_weight=1.0, weight=3.0, warmup=2)
    assert (shown.recipe.judged_on, shown.recipe.seed, shown.folder) == ("test", 6, Path("out/kd-matched/seed-6"))


def test_a_method_is_trained_by_its_own_optimiser_tuned_or_shown() -> None:
    dot = DOTSettings(delta=0.05)
    given: dict[str, OptimizerSettings] = {"kd-matched": dot, "dkd": dot}
    planned = compared(tune=GRIDS)
    planned = replace(planned, train=replace(planned.train, nesterov=False))
    planned = replace(planned, compare=replace(planned.compare, optimizers=given))
    plan = Plan(planned, ["supervised", "kd-matched", "dkd"], 1, Path("out"))
    assert {run.recipe.train.optimizer for run in plan.runs("dkd")} == {dot}
    (supervised,) = plan.runs("supervised")
    assert supervised.recipe.train == planned.train
    one_of_two = replace(planned, compare=replace(planned.compare, optimizers={"dkd": dot}))
    with pytest.raises(ValueError, match="kd-matched must have dkd's optimiser to be a control"):
        Plan(one_of_two, ["kd-matched", "dkd"], 1, Path("out"))


def test_another_grid_leaves_the_runs_what_they_are() -> None:
    plans = [Plan(compared(**settings), ["dkd"], 1, Path("out")) for settings in ({"tune": GRIDS}, {"tuning_seeds": 4})]
    assert plans[0].shown("dkd", 5) == plans[1].shown("dkd", 5)


@pytest.mark.parametrize(
    ("settings", "names", "message"),
    [
        (
            {"methods": {"supervised": KDSettings()}},
            ["supervised"],
            r"compare\.methods\.supervised is the baseline without a teacher, got KDSettings",
        ),
        (
            {"methods": {"kd-matched": DKDSettings()}},
            ["kd-matched"],
            r"compare\.methods\.kd-matched must be kd, the weight-matched control, got DKDSettings",
        ),
        (
            {"methods": {"kd-matched": KDSettings(task_weight=1.0, warmup=3)}},
            ["kd-matched", "dkd"],
            "kd-matched must share dkd's warmup to be a control; got 3 and 2",
        ),
        (
            {"methods": {"kd-matched": KDSettings(task_weight=0.5, warmup=2)}},
            ["kd-matched", "dkd"],
            "kd-matched must share dkd's task_weight to be a control; got 0.5 and 1.0",
        ),
        (
            {"methods": {"kd-matched": KDSettings(task_weight=1.0, temperature=2.0, warmup=2)}},
            ["kd-matched", "dkd"],
            "kd-matched must share dkd's temperature to be a control; got 2.0 and 4.0",
        ),
        (
            {"methods": {"kd-matched": KDSettings(task_weight=1.0, warmup=2, standardise=True)}},
            ["kd-matched", "dkd"],
            "kd-matched must share dkd's standardise to be a control; got True and False",
        ),
        ({"tune": {"dkd": GRIDS["dkd"]}}, ["kd-matched", "dkd"], "names only one of dkd and kd-matched"),
        ({"tune": {"kd-matched": GRIDS["kd-matched"]}}, ["kd-matched", "dkd"], "names only one of dkd and kd-matched"),
    ],
)
def test_a_control_that_is_none_is_refused(settings: dict[str, Any], names: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Plan(compared(**settings), names, 1, Path("out"))


def test_a_control_need_not_be_matched_to_what_is_not_compared() -> None:
    loose = {"kd-matched": KDSettings(task_weight=0.5)}
    plan = Plan(compared(methods=loose), ["supervised", "kd-matched"], 1, Path("out"))
    assert plan.settings == {"supervised": SupervisedSettings(), "kd-matched": loose["kd-matched"]}
