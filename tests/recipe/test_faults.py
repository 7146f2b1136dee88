"""What is wrong with a recipe is said at once, with the key as the user wrote it and the nearest right name."""

import copy
import math
from typing import Any

import pytest

from decant.methods import METHODS, MULTILABEL_METHODS
from decant.recipe import RecipeError, recipe_from_dict
from recipe.files import COMPOSED, distilled, minimal


def faults(values: dict[str, Any]) -> tuple[str, ...]:
    with pytest.raises(RecipeError) as caught:
        recipe_from_dict(values, where="my.toml")
    assert str(caught.value).startswith(f"my.toml: {len(caught.value.faults)} fault")
    assert all(fault in str(caught.value) for fault in caught.value.faults)
    return caught.value.faults


def put(values: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    values = copy.deepcopy(values)
    *path, last = key.split(".")
    table = values
    for part in path:
        table = table.setdefault(part, {})
    table[last] = value
    return values


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("studnet", "student"),
        ("student.nme", "there are: "),
        ("data.paddings", "padding"),
        ("teacher.weight", "weights"),
        ("teacher.recipe.trian", "train"),
        ("teacher.recipe.train.epoch", "epochs"),
        ("teacher.recipe.train.schedule.rises", "rise"),
        ("method.betta", "beta"),
        ("train.learning_rat", "learning_rate"),
        ("train.schedule.milestone", "milestones"),
        ("compare.tuning_seed", "tuning_seeds"),
        ("compare.methods.gentle.wieght", "weight"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_right_one(key: str, near: str) -> None:
    (fault,) = faults(put(distilled(), key, 1))
    assert fault.startswith(f"{key}: no such setting; ")
    assert near in fault


@pytest.mark.parametrize("key", ["train.optimizer.detla", "compare.optimizers.dkd.detla"])
def test_an_unknown_key_of_an_optimiser_is_named_too(key: str) -> None:
    values = distilled(train={"optimizer": {"name": "dot"}}, compare={"optimizers": {"dkd": {"name": "dot"}}})
    assert faults(put(values, key, 1)) == (f"{key}: no such setting; did you mean 'delta'?",)


@pytest.mark.parametrize(
    ("key", "given", "near"),
    [
        ("method.name", "dkdd", "did you mean 'dkd'?"),
        ("method.name", "zzz", f"there are: {', '.join(METHODS | MULTILABEL_METHODS)}"),
        ("train.schedule.name", "onecycel", "did you mean 'onecycle'?"),
        ("train.optimizer.name", "dott", "did you mean 'dot'?"),
        ("teacher.recipe.method.name", "kdd", "did you mean 'kd'?"),
        ("compare.methods.gentle.name", "sipervised", "did you mean 'supervised'?"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(key: str, given: str, near: str) -> None:
    assert faults(put(distilled(), key, given)) == (f"{key}: there is no {given!r}; {near}",)


def test_faults_in_a_list_of_methods_are_told_with_their_position() -> None:
    two = [{"name": "dkd", "betta": 2.0, "alpha": True}, {"name": "reviewkdd"}, {"weight": 1.0}, 3]
    assert faults(distilled(method=two)) == (
        "method.0.alpha: input should be a valid number, got True",
        "method.0.betta: no such setting; did you mean 'beta'?",
        "method.1.name: there is no 'reviewkdd'; did you mean 'reviewkd'?",
        "method.2.name: is missing",
        "method.3: input should be an object, got 3",
    )
    (fault,) = faults(distilled(compare={"methods": {"both": [COMPOSED[0], {"name": "kd", "wieght": 1.0}]}}))
    assert fault == "compare.methods.both.1.wieght: no such setting; did you mean 'weight'?"
    (fault,) = faults(distilled(teacher={"recipe": minimal(method=[*COMPOSED, {"name": "at", "power": 0.0}])}))
    assert fault == "teacher.recipe.method.2: power must be finite and at least 1, got 0.0"


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ([], "method: a list composes at least 2 methods, got 0"),
        (COMPOSED[:1], "method: a list composes at least 2 methods, got 1; a single one is given by itself"),
        ([*COMPOSED, COMPOSED[0]], "method: dkd is listed twice"),
        (
            [*COMPOSED, {"name": "kd"}],
            "method: composed methods share one task term, so give them one task_weight; got",
        ),
    ],
)
def test_a_list_that_is_no_method_is_refused(method: list[Any], message: str) -> None:
    (fault,) = faults(distilled(method=method))
    assert fault.startswith(message)


@pytest.mark.parametrize("key", ["student.name", "teacher.recipe.student.name"])
def test_a_network_that_does_not_exist_is_found_before_anything_is_trained(key: str) -> None:
    (fault,) = faults(put(distilled(), key, "resnet8x5"))
    assert fault.startswith(f"{key.removesuffix('.name')}: no network is named 'resnet8x5'; nearest: ")
    assert "resnet8x4" in fault


def test_the_network_of_given_weights_must_exist_too() -> None:
    (fault,) = faults(distilled(teacher={"name": "wrn_40_3", "weights": "there.pth"}))
    assert fault.startswith("teacher: no network is named 'wrn_40_3'; nearest: wrn_40_")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("method.beta", True),
        ("method.beta", "2"),
        ("method.beta", None),
        ("method.warmup", 2.5),
        ("method.warmup", 2.0),
        ("train.epochs", "10"),
        ("train.epochs", True),
        ("train.nesterov", 1),
        ("train.nesterov", "true"),
        ("train.schedule.milestones", [1, "2"]),
        ("train.schedule.milestones", 150),
        ("student.name", 8),
        ("seed", 1.0),
        ("data.name", "imagenet"),
        ("judged_on", "train"),
        ("task", "segmentation"),
        ("train.precision", "fp8"),
        ("compare.tune", [1.0]),
        ("teacher.recipe", 3),
    ],
)
def test_types_are_strict_and_both_sides_are_told(key: str, value: Any) -> None:
    (fault,) = faults(put(distilled(), key, value))
    where = f"{key}.1" if value == [1, "2"] else key
    assert fault.startswith(f"{where}: input should be ")
    assert fault.endswith(f"got {'2' if value == [1, '2'] else value!r}" if value != [1, "2"] else "got '2'")


def test_a_whole_number_serves_as_a_real_one() -> None:
    assert recipe_from_dict(distilled(method={"name": "dkd", "beta": 2})) == recipe_from_dict(
        distilled(method={"name": "dkd", "beta": 2.0})
    )


def test_what_is_missing_is_named() -> None:
    assert faults({}) == ("student: is missing", "data: is missing")
    assert faults(minimal(method={"beta": 2.0})) == ("method.name: is missing",)
    assert faults(minimal(student={})) == ("student.name: is missing",)
    assert faults(distilled(teacher={"recipe": {"student": {"name": "vgg8"}}})) == ("teacher.recipe.data: is missing",)


def test_all_faults_come_at_once() -> None:
    values = distilled(method={"name": "dkd", "betta": 2.0, "alpha": "one"}, seeed=3)
    values = put(values, "teacher.recipe.train.epochs", "3")
    values = put(values, "train.schedule.milestones", [2, 1])
    keys = {fault.partition(":")[0] for fault in faults(values)}
    assert keys == {"method.betta", "method.alpha", "seeed", "teacher.recipe.train.epochs", "train.schedule"}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("train.epochs", 0, "epochs must be at least 1, got 0"),
        ("train.batch_size", -64, "batch_size must be at least 1, got -64"),
        ("train.accumulate", 0, "accumulate must be at least 1, got 0"),
        ("train.teacher_cache_top", 0, "teacher_cache_top is at least 1, or left out, got 0"),
        ("train.teacher_cache_temperature", 0.0, "teacher_cache_temperature must be positive, got 0.0"),
        ("train.evaluate_every", 0, "evaluate_every must be at least 1, got 0"),
        ("train.checkpoint_every", 0, "checkpoint_every must be at least 1, got 0"),
        ("train.learning_rate", 0.0, "learning_rate must be a finite number above 0, got 0.0"),
        ("train.momentum", 1.0, "momentum must be in [0, 1), got 1.0"),
        ("train.weight_decay", -1e-4, "weight_decay must be a finite number of at least 0, got -0.0001"),
        (
            "train.optimizer",
            {"name": "dot", "delta": 0.1},
            "and momentum + delta below 1, got delta 0.1 and momentum 0.9",
        ),
        ("train.optimizer", {"name": "dot", "delta": -0.1}, "optimizer.delta must be from 0 to momentum"),
        ("train", {"optimizer": {"name": "dot"}, "nesterov": True}, "nesterov is for sgd: dot is not defined with it"),
        ("compare.optimizers", {"kdd": {"name": "sgd"}}, "no method 'kdd' to compare; there are: "),
        ("compare.optimizers", {"kd": {"name": "dot", "delta": 0.2}}, "optimizer.delta must be from 0 to momentum"),
        ("train.ema", 1.0, "ema is a decay between 0 and 1, or left out, got 1.0"),
        ("train.schedule.milestones", [2, 1], "milestones are rising epochs of at least 1, got [2, 1]"),
        ("train.schedule.milestones", [0, 1], "milestones are rising epochs of at least 1, got [0, 1]"),
        ("train.schedule.factor", -0.1, "factor must be a finite number above 0, got -0.1"),
        ("train.schedule", {"name": "onecycle", "rise": 1.0}, "rise is in [0, 1) and start in [0, 1]"),
        ("train.schedule", {"name": "cosine", "warmup": -1.0}, "warmup is a number of epochs of at least 0, got -1.0"),
        ("train.schedule", {"name": "cosine", "final": 1.5}, "final is in [0, 1], got 1.5"),
        ("method.beta", -1.0, "beta must be a finite number of at least 0, got -1.0"),
        ("data.padding", -1, "padding is at least 0"),
        ("seed", -1, "seed must be from 0 to 9223372036854775807, got -1"),
        ("seed", 2**63, "seed must be from 0 to 9223372036854775807, got 9223372036854775808"),
        ("compare.tuning_seeds", 0, "tuning_seeds must be at least 1, got 0"),
    ],
)
def test_values_that_no_training_can_use_are_refused(key: str, value: Any, message: str) -> None:
    (fault,) = faults(put(distilled(), key, value))
    assert message in fault


def test_several_bad_values_of_the_loop_are_told_together() -> None:
    (fault,) = faults(distilled(train={"epochs": 0, "momentum": 2.0, "nesterov": True}))
    assert "epochs must be at least 1" in fault
    assert "momentum must be in [0, 1)" in fault
    assert "nesterov needs a momentum above 0" in faults(distilled(train={"momentum": 0.0, "nesterov": True}))[0]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_numbers_that_json_cannot_hold_are_refused(value: float) -> None:
    (fault,) = faults(minimal(method={"name": "dkd", "beta": value}))
    assert fault.startswith("a value that a recipe cannot hold")


@pytest.mark.parametrize(
    ("teacher", "told"),
    [
        ({}, "got recipe missing, name None, weights None"),
        ({"name": "resnet32x4"}, "got recipe missing, name 'resnet32x4', weights None"),
        ({"weights": "a.pth"}, "got recipe missing, name None, weights 'a.pth'"),
        ({"recipe": minimal(), "weights": "a.pth"}, "got recipe given, name None, weights 'a.pth'"),
    ],
)
def test_a_teacher_comes_from_one_place(teacher: dict[str, Any], told: str) -> None:
    (fault,) = faults(distilled(teacher=teacher))
    assert fault.startswith("teacher: a teacher is given by `recipe`, or by `name` and `weights` together")
    assert told in fault


def test_a_teacher_of_other_data_is_refused() -> None:
    (fault,) = faults(distilled(data={"name": "cifar10"}))
    assert "the teacher is trained on 'cifar100', the student on 'cifar10'" in fault


@pytest.mark.parametrize("theirs", [{}, {"validation": 0.2}, {"validation": 0.1, "split_seed": 7}])
def test_validation_images_that_the_teacher_has_seen_are_refused(theirs: dict[str, Any]) -> None:
    values = distilled(data={"name": "cifar100", "validation": 0.1})
    values["teacher"]["recipe"]["data"] = {"name": "cifar100", **theirs}
    (fault,) = faults(values)
    assert "the student's validation images would be among the teacher's training images" in fault
    assert "(0.1, 0)" in fault
    values["teacher"]["recipe"]["data"] = {"name": "cifar100", "validation": 0.1}
    recipe_from_dict(values)


@pytest.mark.parametrize(
    ("tables", "what"),
    [
        ({"judged_on": "validation"}, "judged_on"),
        ({"compare": {"tune": {"dkd": {"beta": [1.0, 2.0]}}}}, "compare.tune"),
    ],
)
def test_choosing_needs_images_that_nothing_is_trained_on(tables: dict[str, Any], what: str) -> None:
    (fault,) = faults(minimal(**tables))
    assert what in fault
    assert "needs images that nothing is trained on: set data.validation above 0" in fault
    recipe_from_dict(minimal(**{**tables, "data": {"name": "cifar100", "validation": 0.1}}))


@pytest.mark.parametrize(
    ("train", "method", "remark"),
    [
        ({"epochs": 10}, {"name": "dkd"}, "method.warmup 20 is longer than the 10 epochs"),
        ({"epochs": 10}, COMPOSED, "method.1.warmup 20 is longer than the 10 epochs"),
        ({"epochs": 150}, {"name": "kd"}, "no milestone of train.schedule (150, 180, 210) lies within the 150 epochs"),
    ],
)
def test_what_is_probably_not_meant_is_remarked(train: dict[str, Any], method: Any, remark: str) -> None:
    values = {"student": {"name": "resnet8"}, "data": {}, "method": method, "train": train}
    assert any(remark in said for said in recipe_from_dict(values).remarks)
    assert recipe_from_dict({**values, "train": {"epochs": 151}, "method": {"name": "kd"}}).remarks == ()


def test_a_recipe_of_another_task_is_not_taken_for_a_faulty_one() -> None:
    assert faults({"task": "detection", "student": {"name": "fasterrcnn_tiny_fpn"}}) == (
        "task: this is a recipe of detection, but what was asked for is there for classification alone",
    )
