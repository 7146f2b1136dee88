from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from decant.evidence import Run, Tuning, compare_runs, read_run, verdict
from evidence.invented import DKD, KD, KD_MATCHED, TEACHER, tuned, write_run

Make = Callable[..., Run]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Writes a run into a folder of its own and reads it back."""
    count = iter(range(1000))

    def make_run(name: str, seed: int = 0, **changes: Any) -> Run:
        method, settings, teacher = {
            "supervised": ("supervised", {}, None),
            "kd": ("kd", KD, TEACHER),
            "kd-matched": ("kd", KD_MATCHED, TEACHER),
            "dkd": ("dkd", DKD, TEACHER),
        }[name]
        facts: dict[str, Any] = {"method": method, "settings": settings, "teacher": teacher, "seed": seed}
        return read_run(write_run(tmp_path / f"{next(count)}-{name}-{seed}", **(facts | changes)))

    return make_run


def test_runs_become_numbers_by_seed(make: Make) -> None:
    groups = {
        "supervised": [make("supervised", seed, top1=(50.0, 60.0 + seed, 59.0)) for seed in (2, 0, 1)],
        "dkd": [make("dkd", seed, top1=(55.0, 65.0, 64.0 + seed), seconds=10.0 + seed) for seed in (0, 1, 2)],
    }
    comparison = compare_runs(groups, notes=["Few labels."])
    supervised, dkd = comparison.results
    assert comparison.seeds == (0, 1, 2)
    assert (comparison.baseline, comparison.control) == ("supervised", None)
    assert (comparison.split, comparison.epochs, comparison.parameters) == ("test", 3, 3778)
    assert comparison.teachers == (TEACHER,)
    assert comparison.data["name"] == "digits"
    assert comparison.student == {"name": "digits_student"}
    assert comparison.notes == ("Few labels.",)
    assert dict(supervised.best) == {0: 60.0, 1: 61.0, 2: 62.0}
    assert dict(supervised.last) == {0: 59.0, 1: 59.0, 2: 59.0}
    assert dict(supervised.teachers) == {0: None, 1: None, 2: None}
    assert (dkd.method, dict(dkd.settings)) == ("dkd", DKD)
    assert dkd.last_score == (65.0, 1.0)
    assert dkd.mean_seconds == 11.0
    difference = comparison.difference("dkd", "supervised")
    assert difference is not None
    assert difference.mean == 6.0


def test_seeds_that_share_their_views_are_said_to(make: Make) -> None:
    def notes(seeds: range, view_seed: int | None) -> tuple[str, ...]:
        data = {"view_seed": view_seed}
        return compare_runs({"dkd": [make("dkd", seed, data=data) for seed in seeds]}, notes=["Few labels."]).notes

    said = "All seeds had the same crops and flips (data.view_seed 0): they differ in initialisation and order alone, "
    assert notes(range(3), None) == ("Few labels.",)
    assert notes(range(1), 0) == ("Few labels.",)
    first, second = notes(range(2), 0)
    assert first == "Few labels."
    assert second.startswith(said)


def test_baseline_and_control_are_found_by_name(make: Make) -> None:
    groups = {name: [make(name)] for name in ("supervised", "kd", "kd-matched", "dkd")}
    comparison = compare_runs(groups)
    assert (comparison.baseline, comparison.control) == ("supervised", "kd-matched")
    without = compare_runs(groups, baseline=None, control=None)
    assert (without.baseline, without.control) == (None, None)


def test_optimisers_may_differ_between_methods_and_are_then_shown(make: Make) -> None:
    dot = {"optimizer": {"name": "dot", "delta": 0.05}}
    same = compare_runs({"kd": [make("kd")], "dkd": [make("dkd", train={"optimizer": {"name": "sgd"}})]})
    assert (same.notes, dict(same.result("dkd").settings)) == ((), DKD), "a recipe of old was trained by sgd"
    groups = {"kd-matched": [make("kd-matched", seed) for seed in range(3)]}
    groups["dkd"] = [make("dkd", seed, train=dot) for seed in range(3)]
    comparison = compare_runs(groups)
    assert comparison.notes[0].startswith(
        "Not all methods were trained by one optimiser (kd-matched by sgd, dkd by dot)"
    )
    assert comparison.result("dkd").settings["optimizer"] == dot["optimizer"]
    (claim,) = [claim for claim in verdict(comparison).claims if claim.kind == "decoupling"]
    assert "dkd has optimizer {'name': 'dot', 'delta': 0.05} and kd-matched {'name': 'sgd'}" in claim.text
    with pytest.raises(
        ValueError, match=r"one setting for all runs of dkd, .* differ: train\.optimizer\.delta: None and 0"
    ):
        compare_runs({"dkd": [make("dkd"), make("dkd", 1, train=dot)]})


@pytest.mark.parametrize("role", ["baseline", "control"])
def test_a_role_is_refused_to_the_wrong_method(make: Make, role: str) -> None:
    roles: dict[str, Any] = {role: "dkd"}
    with pytest.raises(ValueError, match=rf"expected dkd to be the {role}.* got method dkd"):
        compare_runs({"dkd": [make("dkd")]}, **roles)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"top1": (80.0, 92.0)}, r"epochs: 3 and 2"),
        ({"split": "validation"}, r"split: 'test' and 'validation'"),
        ({"data": {"padding": 2}}, r"data\.padding: 1 and 2"),
        ({"data": {"view_seed": 1}}, r"data\.view_seed: None and 1"),
        ({"fingerprint": "f00d"}, r"training images: 'feed' and 'f00d'"),
        ({"student": "resnet8"}, r"student\.name: 'digits_student' and 'resnet8'"),
        ({"train": {"learning_rate": 0.2}}, r"train\.learning_rate: 0\.1 and 0\.2"),
        ({"seed": 5}, r"seeds: \[0\] in supervised, \[5\] in dkd"),
    ],
)
def test_whatever_else_differs_is_named(make: Make, changes: dict[str, Any], message: str) -> None:
    groups = {"supervised": [make("supervised")], "dkd": [make("dkd", **changes)]}
    with pytest.raises(ValueError, match=message):
        compare_runs(groups)


def test_runs_judged_on_other_images_are_refused(make: Make) -> None:
    same = {"supervised": [make("supervised", judged="cafe")], "dkd": [make("dkd", judged="cafe")]}
    assert len(compare_runs(same).results) == 2
    # The first run does not say what it was judged on; the two that do disagree.
    groups = {
        "supervised": [make("supervised")],
        "kd": [make("kd", judged="cafe")],
        "dkd": [make("dkd", judged="babe")],
    }
    with pytest.raises(ValueError, match=r"images judged on: 'cafe' and 'babe' \(the first in .*-kd-0, the second in"):
        compare_runs(groups)
    del groups["dkd"]
    assert len(compare_runs(groups).results) == 2


def test_mixed_environments_are_a_note_and_no_reason_to_refuse(make: Make) -> None:
    one, two = {"device": "cpu", "threads": 1}, {"device": "cpu", "threads": 2}
    groups = {"supervised": [make("supervised", environment=one)], "dkd": [make("dkd", environment=two)]}
    mixed = compare_runs(groups, notes=["Few labels."])
    assert mixed.notes == ("Few labels.", "The runs were not all made in one environment: threads 1 and 2.")
    assert mixed.notes[1] in verdict(mixed).caveats
    groups["dkd"] = [make("dkd", environment=one)]
    assert compare_runs(groups).notes == ()


def test_all_differences_are_told_at_once_and_a_flood_is_counted(make: Make) -> None:
    changes: dict[str, Any] = {"student": "resnet8", "data": {"padding": 2}}
    groups = {"supervised": [make("supervised")], "dkd": [make("dkd", **changes)]}
    with pytest.raises(ValueError, match=r"(?s)data\.padding.*student\.name"):
        compare_runs(groups)
    flood = {"data": {f"setting{i}": i for i in range(20)}}
    with pytest.raises(ValueError, match=r"and 12 more"):
        compare_runs({"supervised": [make("supervised")], "dkd": [make("dkd", **flood)]})


def test_a_tuned_training_setting_may_differ(make: Make) -> None:
    groups = {"supervised": [make("supervised")], "dkd": [make("dkd", train={"learning_rate": 0.2})]}
    tuning = {"dkd": Tuning("train.learning_rate", {0.1: 90.0, 0.2: 91.0}, 0.2, (100,))}
    assert compare_runs(groups, tuning=tuning).result("dkd").tuning == tuning["dkd"]


def test_one_method_has_one_setting(make: Make) -> None:
    runs = [make("dkd", 0), make("dkd", 1, settings=DKD | {"beta": 4.0})]
    with pytest.raises(ValueError, match=r"one setting for all runs of dkd.*method\.beta: 2\.0 and 4\.0"):
        compare_runs({"dkd": runs})


def test_a_seed_may_be_there_once(make: Make) -> None:
    with pytest.raises(ValueError, match="one run per seed of dkd, got seed 3 in"):
        compare_runs({"dkd": [make("dkd", 3), make("dkd", 3)]})


def test_unfinished_runs_are_named(make: Make) -> None:
    unfinished = make("dkd", 1, finished=False)
    with pytest.raises(ValueError, match=rf"finished runs of dkd, these are not: .*{unfinished.path.name}"):
        compare_runs({"dkd": [make("dkd", 0), unfinished]})


def test_two_teachers_under_one_seed_are_refused_but_one_per_seed_is_fine(make: Make) -> None:
    other = TEACHER | {"sha256": "decaf"}
    with pytest.raises(ValueError, match=r"one teacher for all runs of seed 0, got c0ffee.*decaf"):
        compare_runs({"kd": [make("kd")], "dkd": [make("dkd", teacher=other)]})
    groups = {name: [make(name, 0), make(name, 1, teacher=other)] for name in ("kd", "dkd")}
    assert compare_runs(groups).teachers == (TEACHER, other)


def test_empty_groups_and_stray_tuning_are_refused(make: Make) -> None:
    with pytest.raises(ValueError, match="at least one method"):
        compare_runs({})
    with pytest.raises(ValueError, match="at least one run of kd"):
        compare_runs({"dkd": [make("dkd")], "kd": []})
    with pytest.raises(ValueError, match=r"tuning for methods among \['dkd'\], got \['dkdd'\]"):
        compare_runs({"dkd": [make("dkd")]}, tuning={"dkdd": tuned("beta")})
