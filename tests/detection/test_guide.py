"""The guide names every setting with its default, and its recipe loads."""

import dataclasses
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from decant.detection import DETECTION_METHODS, DETECTORS
from decant.detection.comparison import DetectionCompareSettings
from decant.detection.data_settings import LAYOUTS, DetectionDataSettings
from decant.detection.recipe import (
    DetectionRecipe,
    DetectionTeacherSettings,
    DetectionTrainSettings,
    DetectorSettings,
)
from decant.recipe import MultiStep, recipe_as

PAGE = (Path(__file__).parents[2] / "docs" / "guides" / "detection.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| `([a-z_.]+)` \| ([^|]+) \|", PAGE, re.MULTILINE))
TABLES: dict[str, Any] = {
    "student": DetectorSettings(DETECTORS[0]),
    "teacher": DetectionTeacherSettings(torchvision="any"),
    "data": DetectionDataSettings("shapes"),
    "train": DetectionTrainSettings(),
    "compare": DetectionCompareSettings(),
    **{name: settings() for name, settings in DETECTION_METHODS.items()},
}


@pytest.mark.parametrize("table", TABLES)
def test_every_setting_has_its_default_on_the_page(table: str) -> None:
    required = {"student.name", "data.name"}
    for field in dataclasses.fields(TABLES[table]):
        key, value = f"{table}.{field.name}", getattr(TABLES[table], field.name)
        if field.name == "name" and key not in required:
            continue
        if key in required:
            expected = "required"
        elif key == "teacher.torchvision" or value in (None, {}, ()):
            expected = "none"
        else:
            expected = "multistep" if isinstance(value, MultiStep) else json.dumps(value)
        assert ROWS.get(key) == expected, key


def test_there_are_no_settings_on_the_page_that_do_not_exist() -> None:
    named = {key for key in ROWS if "." in key}
    assert named == {
        f"{table}.{field.name}"
        for table, settings in TABLES.items()
        for field in dataclasses.fields(settings)
        if field.name != "name" or table in {"student", "data"}
    }


def test_names_are_on_the_page() -> None:
    assert ROWS.keys() >= DETECTION_METHODS.keys()
    assert "shapes, " + ", ".join(LAYOUTS) in PAGE


def test_the_recipe_loads() -> None:
    compare, recipe = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    values = tomllib.loads(recipe + compare)
    values["teacher"] = {"torchvision": "fasterrcnn_resnet50_fpn"}
    assert recipe_as(DetectionRecipe, values).methods == "dkd+reviewkd"
