"""Every method has a page that names each setting with its default, and a recipe that sets them all."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from decant.methods import METHODS

ROOT = Path(__file__).parents[2]
NAMES = [name for name in METHODS if name != "supervised"]


def defaults(name: str) -> dict[str, object]:
    """As a file has them: a tuple is a list there."""
    values = {key: value for key, value in vars(METHODS[name]()).items() if key != "name"}
    return dict(json.loads(json.dumps(values)))


@pytest.mark.parametrize("name", NAMES)
def test_a_page_names_every_setting_with_its_default(name: str) -> None:
    page = (ROOT / "docs" / "methods" / f"{name}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {name}\n")
    rows = dict(re.findall(r"^\| `([a-z_]+)` \| ([^|]+) \|", page, re.MULTILINE))
    assert {key: json.loads(value) for key, value in rows.items()} == defaults(name)
    assert "(not a number of ours)" in page or "(not numbers of ours)" in page or "nothing" in page


@pytest.mark.parametrize("name", NAMES)
def test_the_first_recipe_of_a_method_spells_out_its_defaults(name: str) -> None:
    path = ROOT / "recipes" / "cifar100" / name / "resnet32x4-resnet8x4.toml"
    method = tomllib.loads(path.read_text(encoding="utf-8"))["method"]
    assert method == {"name": name, **defaults(name)}


@pytest.mark.parametrize("name", METHODS)
def test_the_pages_are_found_from_the_index_and_the_settings(name: str) -> None:
    for page in ("index.md", "guides/settings.md"):
        assert f"methods/{name}.md)" in (ROOT / "docs" / page).read_text(encoding="utf-8")
