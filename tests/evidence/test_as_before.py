"""Runs of an earlier version, whose recipes say less, stand beside runs of this one."""

import json
from pathlib import Path

import pytest

from decant.data import DataSettings
from decant.evidence.as_before import AS_BEFORE
from decant.evidence.gathering import gather
from decant.recipe import NetworkSettings, Recipe, recipe_to_dict
from evidence.invented import write_run

NOW = recipe_to_dict(Recipe(student=NetworkSettings("digits_student"), data=DataSettings()))
AT_FIRST = {
    "data": {
        *("name", "padding", "flip", "view_seed", "validation", "train_per_class", "split_seed"),
        *("fake_train", "fake_test", "fake_classes", "fake_pixels"),
    },
    "student": {"name"},
    "train": {
        *("epochs", "batch_size", "accumulate", "learning_rate", "momentum", "nesterov", "weight_decay", "schedule"),
        *("precision", "channels_last", "ema", "evaluate_every", "checkpoint_every"),
    },
}


@pytest.mark.parametrize("part", AT_FIRST)
def test_every_setting_was_there_at_first_or_is_known_as_one_that_came_later(part: str) -> None:
    assert AS_BEFORE[part] == {name: value for name, value in NOW[part].items() if name not in AT_FIRST[part]}


def write_now(path: Path, **changes: dict[str, object]) -> None:
    """A run whose recipe says all that one of this version says; the method is a detail."""
    write_run(path, method="dkd")
    file = path / "recipe.json"
    recipe = json.loads(file.read_text()) | {"task": "classification"}
    for part in AT_FIRST:
        recipe[part] |= {**AS_BEFORE[part], **changes.get(part, {})}
    file.write_text(json.dumps(recipe))


def test_a_run_of_old_meets_one_of_today(tmp_path: Path) -> None:
    write_run(tmp_path / "old", method="kd")
    write_now(tmp_path / "now")
    (group,) = gather([tmp_path]).groups
    assert group.comparison is not None, group.reason
    assert [result.name for result in group.comparison.results] == ["dkd", "kd"]


@pytest.mark.parametrize(
    "changes",
    [
        {"data": {"label_noise": 0.25}},
        {"data": {"strong": {"name": "randaugment", "operations": 2, "magnitude": 3}}},
        {"student": {"pretrained": True}},
        {"train": {"mixup": 0.5}},
    ],
    ids=str,
)
def test_where_they_differ_they_are_not_compared(tmp_path: Path, changes: dict[str, dict[str, object]]) -> None:
    write_run(tmp_path / "old", method="kd")
    write_now(tmp_path / "now", **changes)
    assert all(group.comparison is None for group in gather([tmp_path]).groups)
