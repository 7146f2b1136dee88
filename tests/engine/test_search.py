"""What a search of settings may try."""

from dataclasses import replace

import pytest

from decant.engine.search import SPACES, Range, control_of, space_of, trial_recipe, with_values
from decant.methods import DISTSettings, DKDSettings, KDSettings
from decant.recipe import CompareSettings, Cosine, MultiStep, Recipe, TeacherSettings
from engine.tiny import DATA, TEACHER, recipe

HELD_OUT = replace(DATA, validation=0.25)
VALIDATED = replace(
    recipe(DKDSettings(warmup=8), epochs=40),
    data=HELD_OUT,
    teacher=TeacherSettings(recipe=replace(TEACHER, data=HELD_OUT)),
)


def with_schedule(schedule: MultiStep | Cosine) -> Recipe:
    return replace(VALIDATED, train=replace(VALIDATED.train, schedule=schedule))


def test_a_trial_is_short_and_judged_on_validation_images() -> None:
    whole = with_schedule(MultiStep(milestones=(20, 30, 31), warmup=4.0))
    trial = trial_recipe(whole, whole.method, 10, 1000)
    assert (trial.train.epochs, trial.judged_on, trial.seed) == (10, "validation", 1000)
    assert trial.train.schedule == MultiStep(milestones=(5, 8), warmup=1.0)
    assert getattr(trial.method, "warmup") == 2  # noqa: B009
    cosine = trial_recipe(with_schedule(Cosine(warmup=4.0)), DKDSettings(warmup=0), 10, 1000)
    assert cosine.train.schedule == Cosine(warmup=1.0)
    with pytest.raises(ValueError, match="seeds from 1000 on are for tuning, got 3"):
        trial_recipe(whole, whole.method, 10, 3)
    with pytest.raises(ValueError, match="needs images that nothing is trained on"):
        trial_recipe(recipe(DKDSettings()), DKDSettings(), 1, 1000)


def test_values_are_rounded_so_that_people_can_read_them() -> None:
    assert with_values(DKDSettings(), {"alpha": 1.23456, "beta": 12.3456}) == DKDSettings(alpha=1.23, beta=12.3)


def test_the_control_shares_what_makes_it_one() -> None:
    dkd = DKDSettings(beta=3.0, temperature=2.5, warmup=8)
    assert control_of(VALIDATED, dkd) == KDSettings(task_weight=1.0, weight=8.0, temperature=2.5, warmup=8)
    given = CompareSettings(methods={"kd-matched": KDSettings(weight=5.0, temperature=4.0)})
    assert getattr(control_of(replace(VALIDATED, compare=given), dkd), "weight") == 5.0  # noqa: B009


def test_ranges() -> None:
    assert space_of("dkd", {}, DKDSettings()) == SPACES["dkd"]
    assert space_of("dkd", {"beta": Range(1, 2)}, DKDSettings()) == {"beta": Range(1, 2)}
    with pytest.raises(ValueError, match="what shall be searched of dist"):
        space_of("dist", {}, DISTSettings())
    with pytest.raises(ValueError, match="has no setting 'gamma'"):
        space_of("dkd", {"gamma": Range(1, 2)}, DKDSettings())
    for wrong in ("3", "2..1", "0..1", "a..b", "1..inf", "..2"):
        with pytest.raises(ValueError, match=r"expected LOW\.\.HIGH with 0 < LOW < HIGH"):
            Range.parse(wrong)
