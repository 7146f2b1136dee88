"""The guide of several classes to a picture: its recipe loads, its loop runs, its defaults are the methods'."""

import dataclasses
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from decant.methods import MULTILABEL_METHODS, BernoulliDKDSettings
from decant.recipe import recipe_from_dict

PAGE = (Path(__file__).parents[2] / "docs" / "guides" / "multilabel.md").read_text(encoding="utf-8")


def test_the_recipe_loads() -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    values = tomllib.loads(text)
    values["teacher"] = {"name": "torchvision/resnet18", "weights": "teacher.pth"}
    assert recipe_from_dict(values).method == BernoulliDKDSettings(alpha=4.0)


@pytest.mark.parametrize("name", MULTILABEL_METHODS)
def test_every_setting_has_its_default(name: str) -> None:
    (row,) = re.findall(rf"^\| `{name}` \| .* \| (.*) \|$", PAGE, re.MULTILINE)
    made: Any = MULTILABEL_METHODS[name]
    settings = {field.name: field.default for field in dataclasses.fields(made)}
    told = ", ".join(f"`{key}` {value}" for key, value in settings.items() if key != "name")
    assert row == (told or "none")


def test_the_loop_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(code, "multilabel.md", "exec"), {})
    assert 0 < float(capsys.readouterr().out) <= 100
