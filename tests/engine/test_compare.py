import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from decant.engine.compare import compare
from decant.engine.plan import FIRST_TUNING_SEED
from decant.evidence import Comparison, read_run
from decant.methods import METHODS, ComposedSettings, DKDSettings, KDSettings, TTMSettings
from decant.recipe import CompareSettings, DOTSettings, NetworkSettings, Recipe, TeacherSettings
from decant.report import summary_markdown
from engine.tiny import (
    DATA,
    TEACHER,
    Heard,
    InterruptAfter,
    LostMachineError,
    contents,
    places,
    recipe,
    untrained_teacher,
    weights_of,
)

HELD_OUT = replace(DATA, validation=0.25)
NOTHING, MUCH = 0.0, 6.0
"""Weights of the only term: with the first the student learns nothing, with the second it does."""


def tuned() -> Recipe:
    """Two methods that are one, whose candidates come in opposite orders: whichever comes first, ``MUCH`` is better."""
    distil = KDSettings(task_weight=0.0)
    settings = CompareSettings(
        methods={"up": distil, "down": distil},
        tune={"up": {"weight": (NOTHING, MUCH)}, "down": {"weight": (MUCH, NOTHING)}},
        tuning_seeds=2,
    )
    teacher = TeacherSettings(recipe=replace(TEACHER, data=HELD_OUT))
    return replace(recipe(KDSettings(), batch_size=8), data=HELD_OUT, teacher=teacher, compare=settings)


def run(planned: Recipe, names: list[str], seeds: int, folder: Path, heard: Heard | InterruptAfter) -> Comparison:
    return compare(planned, names, seeds, folder / "all", places(folder), reporter=heard)


def test_settings_are_tuned_on_validation_images_with_seeds_of_their_own(tmp_path: Path) -> None:
    heard = Heard()
    comparison = run(tuned(), ["up", "down"], 2, tmp_path, heard)
    for name in ("up", "down"):
        tuning = comparison.result(name).tuning
        assert tuning is not None
        assert (tuning.parameter, tuning.chosen, tuning.split) == ("weight", MUCH, "validation")
        assert tuning.seeds == (FIRST_TUNING_SEED, FIRST_TUNING_SEED + 1)
        assert not set(tuning.seeds) & set(comparison.seeds)
        for value, mean in tuning.candidates.items():
            folder = tmp_path / "all" / "tuning" / f"{name}-weight-{value:g}"
            runs = [read_run(folder / f"seed-{seed}") for seed in tuning.seeds]
            assert {run.split for run in runs} == {"validation"}
            assert {run.recipe["method"]["weight"] for run in runs} == {value}
            assert mean == pytest.approx(sum(run.last_score for run in runs) / 2)
        assert tuning.candidates[MUCH] > tuning.candidates[NOTHING]
        for seed in (0, 1):
            shown = read_run(tmp_path / "all" / name / f"seed-{seed}")
            assert (shown.split, shown.seed, shown.recipe["method"]["weight"]) == ("test", seed, MUCH)
            assert comparison.result(name).last[seed] == shown.last_score
    assert comparison.seeds == (0, 1)
    assert comparison.split == "test"
    assert "up: weight = 6 was best on the validation images" in heard.lines
    assert any("12 of 12 runs to do, about " in line for line in heard.lines)


def test_a_composed_method_is_tuned_by_a_part_shares_the_table_and_is_shown_by_its_parts(tmp_path: Path) -> None:
    both = ComposedSettings((KDSettings(task_weight=0.0), TTMSettings(task_weight=0.0, warmup=0)))
    settings = CompareSettings(methods={"kd & ttm": both}, tune={"kd & ttm": {"kd.weight": (NOTHING, MUCH)}})
    planned = replace(tuned(), compare=settings)
    planned = replace(planned, train=replace(planned.train, teacher_cache="views"))
    comparison = run(planned, ["kd", "kd & ttm"], 1, tmp_path, Heard())
    result = comparison.result("kd & ttm")
    assert result.method == "kd+ttm"
    assert (result.settings["kd"]["task_weight"], result.settings["ttm"]["warmup"]) == (0.0, 0)
    assert result.tuning is not None
    assert result.settings["kd"]["weight"] == result.tuning.chosen
    assert set(result.tuning.candidates) == {NOTHING, MUCH}
    page = summary_markdown(comparison, command="decant compare")
    assert re.search(r"\| kd & ttm \| kd \(task weight 0, weight \d.*\), ttm \(task weight 0, .*\) \|", page)
    (row, *_) = (tmp_path / "all" / "kd & ttm" / "seed-0" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(row)["terms"].keys() == {"hard", "kd", "ttm"}
    assert json.loads(row)["teacher_hits"] == 1, "kd of this seed met the same views"


def test_an_optimiser_and_its_control_are_compared_and_told_apart(tmp_path: Path) -> None:
    settings = CompareSettings(methods={"kd-dot": KDSettings()}, optimizers={"kd-dot": DOTSettings(delta=0.05)})
    planned = replace(recipe(KDSettings(), nesterov=False), compare=settings)
    comparison = run(planned, ["supervised", "kd", "kd-dot"], 1, tmp_path, Heard())
    shown = {result.name: result.settings["optimizer"] for result in comparison.results}
    assert shown == {"supervised": {"name": "sgd"}, "kd": {"name": "sgd"}, "kd-dot": {"name": "dot", "delta": 0.05}}
    (note,) = comparison.notes
    assert note.startswith(
        "Not all methods were trained by one optimiser (supervised by sgd, kd by sgd, kd-dot by dot)"
    )
    trained = [weights_of(tmp_path / "all" / name / "seed-0") for name in ("kd", "kd-dot")]
    assert any(not torch.equal(trained[0][key], trained[1][key]) for key in trained[0])
    everywhere = replace(planned, train=replace(planned.train, optimizer=DOTSettings()), compare=CompareSettings())
    heard = Heard()
    with pytest.raises(
        ValueError, match=r"supervised has no other term; use sgd \(in a comparison: compare.optimizers"
    ):
        run(everywhere, ["kd", "supervised"], 1, tmp_path / "refused", heard)
    assert not list((tmp_path / "refused").rglob("summary.json")), "found only after hours of training"


def test_finished_runs_stay_and_more_seeds_add_to_them(tmp_path: Path) -> None:
    planned, names = recipe(DKDSettings()), ["supervised", "kd-matched", "dkd"]
    first = run(planned, names, 1, tmp_path, Heard())
    before, heard = contents(tmp_path), Heard()
    assert run(planned, names, 1, tmp_path, heard) == first
    assert contents(tmp_path) == before
    assert not any("runs to do" in line for line in heard.lines)
    second = run(planned, names, 2, tmp_path, heard)
    assert any("3 of 6 runs to do" in line for line in heard.lines)
    after = contents(tmp_path)
    assert {name: after[name] for name in before} == before
    assert second.seeds == (0, 1)
    assert second.result("dkd").last[0] == first.result("dkd").last[0]
    assert (second.baseline, second.control) == ("supervised", "kd-matched")
    control = read_run(tmp_path / "all" / "kd-matched" / "seed-1").recipe["method"]
    shared = {"task_weight": 1.0, "temperature": 4.0, "warmup": 20, "standardise": False}
    assert control == {"name": "kd", "weight": 8.0, **shared}


def test_an_interrupted_comparison_goes_on(tmp_path: Path) -> None:
    planned, names = recipe(DKDSettings()), ["supervised", "dkd"]
    whole = run(planned, names, 2, tmp_path / "whole", Heard())
    for batches in (6, 18, 9):  # in the teacher, in the first student, and in a later one
        with pytest.raises(LostMachineError):
            run(planned, names, 2, tmp_path / "torn", InterruptAfter(batches))
    torn = run(planned, names, 2, tmp_path / "torn", Heard())
    assert [result.last for result in torn.results] == [result.last for result in whole.results]
    for name in names:
        left, right = (weights_of(tmp_path / part / "all" / name / "seed-1") for part in ("whole", "torn"))
        assert all(torch.equal(left[key], right[key]) for key in left)


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    planned = recipe(DKDSettings())
    run(planned, ["supervised"], 1, tmp_path, Heard())
    before = contents(tmp_path)
    with pytest.raises(
        FileExistsError, match=r"holds the comparison of another recipe \(train\.epochs: there 3, here 4"
    ):
        run(recipe(DKDSettings(), epochs=4), ["supervised"], 1, tmp_path, Heard())
    assert contents(tmp_path) == before
    run(replace(planned, compare=CompareSettings(notes=("of another mind",))), ["supervised"], 1, tmp_path, Heard())
    (tmp_path / "all" / "compared.json").unlink()
    with pytest.raises(FileExistsError, match=r"holds files but no comparison \(supervised\); give another folder"):
        run(planned, ["supervised"], 1, tmp_path, Heard())


def test_what_belongs_beside_the_numbers_is_noted(tmp_path: Path) -> None:
    notes = ("The learning rate was chosen for dkd.",)
    planned = replace(recipe(DKDSettings()), compare=CompareSettings(notes=notes))
    assert run(planned, ["supervised"], 1, tmp_path / "plain", Heard()).notes == notes
    save_file(untrained_teacher().network.state_dict(), tmp_path / "teacher.safetensors")
    teacher = TeacherSettings(name="digits_teacher", weights=str(tmp_path / "teacher.safetensors"))
    given = replace(tuned(), teacher=teacher)
    (note,) = run(given, ["supervised"], 1, tmp_path / "file", Heard()).notes
    assert note.startswith("The teacher came as a file: if it was trained on the validation images, tuning saw ")


def test_the_random_state_of_the_caller_is_not_touched(tmp_path: Path) -> None:
    torch.manual_seed(12345)  # a state that no run leaves behind
    before = torch.get_rng_state()
    run(recipe(DKDSettings()), ["dkd"], 1, tmp_path, Heard())
    assert torch.equal(torch.get_rng_state(), before)


def test_all_methods_have_one_teacher_and_one_start(tmp_path: Path) -> None:
    comparison = run(recipe(DKDSettings()), ["kd", "dkd"], 1, tmp_path, Heard())
    (teacher,) = comparison.teachers
    assert {comparison.result(name).teachers[0] for name in ("kd", "dkd")} == {teacher["sha256"]}
    recipes = [json.loads((tmp_path / "all" / name / "seed-0" / "recipe.json").read_text()) for name in ("kd", "dkd")]
    assert recipes[0].pop("method") != recipes[1].pop("method")
    assert recipes[0] == recipes[1]


@pytest.mark.parametrize(
    ("names", "seeds", "message"),
    [
        ([], 1, r"expected different methods to compare, got \[\]"),
        (["kd", "kd"], 1, r"expected different methods to compare, got \['kd', 'kd'\]"),
        (["kd", "kdd"], 1, "no method 'kdd' to compare; there are: "),
        (["kd"], 0, "expected at least 1 seed, got 0"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_is_trained(
    tmp_path: Path, names: list[str], seeds: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        run(recipe(DKDSettings()), names, seeds, tmp_path, Heard())
    assert not list(tmp_path.iterdir())


def test_views_that_show_nothing_are_refused_before_the_teacher_is_trained(tmp_path: Path) -> None:
    too_wide = replace(recipe(DKDSettings()), data=replace(DATA, padding=8))
    with pytest.raises(ValueError, match="padding = 8 leaves views"):
        run(too_wide, ["dkd"], 1, tmp_path, Heard())
    assert not list(tmp_path.iterdir())


def test_shown_seeds_never_meet_those_of_tuning(tmp_path: Path) -> None:
    late = replace(tuned(), seed=FIRST_TUNING_SEED - 1)
    with pytest.raises(ValueError, match="seeds from 1000 on are for tuning; got 999 to 1000"):
        run(late, ["up"], 2, tmp_path, Heard())


def test_methods_that_learn_from_a_teacher_need_one(tmp_path: Path) -> None:
    alone = replace(recipe(), student=NetworkSettings("digits_student"))
    with pytest.raises(ValueError, match="these methods learn from a teacher, but the recipe has none"):
        run(alone, ["supervised", "kd"], 1, tmp_path, Heard())
    assert run(alone, ["supervised"], 1, tmp_path, Heard()).result("supervised").teachers == {0: None}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == "nd" else [pytest.mark.slow]) for name in METHODS]
)
def test_every_method_can_be_compared(name: str, tmp_path: Path) -> None:
    made = compare(recipe(DKDSettings(), epochs=1), [name], 1, tmp_path / "all", places(tmp_path))
    assert 0 <= made.result(name).last[0] <= 100
