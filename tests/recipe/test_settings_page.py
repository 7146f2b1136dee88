"""The page of all settings names every one, with its default."""

import dataclasses
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from decant.data import DataSettings, PictureSettings, RandAugmentSettings
from decant.recipe import (
    CompareSettings,
    Cosine,
    DOTSettings,
    MultiStep,
    OneCycle,
    Recipe,
    SGDSettings,
    TrainSettings,
    recipe_from_dict,
)

PAGE = (Path(__file__).parents[2] / "docs" / "guides" / "settings.md").read_text(encoding="utf-8")


def defaults_on_page() -> dict[str, str]:
    """Key -> default as the page has it; several keys of one row share it out in order."""
    found: dict[str, str] = {}
    for keys, default in re.findall(r"^\| (`[a-z_.`, ]+`) \| ([^|]+) \|", PAGE, re.MULTILINE):
        if default.startswith("its settings"):
            continue  # the heading of the schedules
        names = re.findall(r"`([a-z_.]+)`", keys)
        values = default.strip().split(", ") if len(names) > 1 else [default.strip()]
        found |= dict(zip(names, values if len(values) == len(names) else values * len(names), strict=True))
    return found


def written(value: Any) -> str:
    return "none" if value in (None, (), {}) else json.dumps(value)


@pytest.mark.parametrize(
    ("table", "settings"),
    [
        ("data.", DataSettings()),
        ("data.pictures.", PictureSettings()),
        ("train.", TrainSettings()),
        ("compare.", CompareSettings()),
    ],
)
def test_every_setting_has_its_default_on_the_page(table: str, settings: Any) -> None:
    page = defaults_on_page()
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if isinstance(value, PictureSettings):
            continue  # a table of its own, below
        expected = value.name if isinstance(value, MultiStep | RandAugmentSettings | SGDSettings) else written(value)
        assert page.get(table + field.name) == expected, table + field.name


def test_the_tables_of_a_recipe_are_all_there() -> None:
    for field in dataclasses.fields(Recipe):
        assert re.search(rf"`{field.name}[.`]|\*\*{field.name}\*\*", PAGE), field.name


@pytest.mark.parametrize(
    "choice", [MultiStep(), Cosine(), OneCycle(), RandAugmentSettings()], ids=lambda choice: choice.name
)
def test_the_schedules_and_kinds_of_views_are_all_there(
    choice: MultiStep | Cosine | OneCycle | RandAugmentSettings,
) -> None:
    (row,) = re.findall(rf'^\| `{{ name = "{choice.name}" }}` \| (.*) \|$', PAGE, re.MULTILINE)
    for name, value in dataclasses.asdict(choice).items():
        if name != "name":
            shown = list(value) if isinstance(value, tuple) else value
            assert f"`{name}` {shown:g}" in row if isinstance(shown, float) else f"`{name}` {shown}" in row, name


def test_the_optimisers_are_all_there() -> None:
    assert f'`{{ name = "{SGDSettings().name}" }}`, or `{{ name = "dot", delta = {DOTSettings().delta} }}`' in PAGE


def test_the_whole_recipe_loads() -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    values = tomllib.loads(text)
    values["teacher"] = {"name": "digits_teacher", "weights": "teacher.pth"}
    assert recipe_from_dict(values).train.epochs == 30
