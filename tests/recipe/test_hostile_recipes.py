"""Whatever a recipe's file holds, it is a recipe or a message of ours."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from decant.recipe import Recipe, RecipeError, load_recipe, shipped_recipes

TEXT = shipped_recipes()["demo"].read_text(encoding="utf-8").replace('recipe = "demo-teacher.toml"', 'name = "x"')
VALUES = tomllib.loads(TEXT)
KEYS = sorted(
    {key for table in VALUES.values() for key in table} | VALUES.keys() | {"weights", "taps", "also", "sha256"}
)

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(KEYS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), inner),
    max_leaves=6,
)
FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def load(path: Path) -> None:
    """Load it, or be told in our words; anything else is the test's failure."""
    try:
        loaded = load_recipe(path)
    except RecipeError as error:
        loaded = None
        assert error.faults  # noqa: PT017 - a recipe that loads is as good
    assert loaded is None or isinstance(loaded, Recipe)


@FUZZ
@given(place=st.integers(0, len(TEXT)), length=st.integers(0, 30), by=st.binary(max_size=12))
def test_a_recipe_with_some_bytes_replaced(tmp_path: Path, place: int, length: int, by: bytes) -> None:
    content = TEXT.encode()
    path = tmp_path / "recipe.toml"
    path.write_bytes(content[:place] + by + content[place + length :])
    load(path)


@FUZZ
@given(where=st.lists(st.sampled_from(KEYS), min_size=1, max_size=3), value=anything)
@example(where=["teacher", "weights"], value="\0")
@example(where=["student", "weights"], value="\ud800")
@example(where=["teacher", "recipe"], value="\0")
@example(where=["teacher", "recipe"], value="x" * 5000)
@example(where=["method", "name"], value="\0.py:Method")
@example(where=["method", "name"], value="../" * 2000 + "x.py:Method")
@example(where=["train", "epochs"], value=10**30)
def test_a_recipe_with_another_value_somewhere(tmp_path: Path, where: list[str], value: Any) -> None:
    values = json.loads(json.dumps(VALUES))
    table = values
    for key in where[:-1]:
        table = table[key] if isinstance(table.get(key), dict) else table.setdefault(key + "2", {})
    table[where[-1]] = value
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(values))
    load(path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("deep.toml", "seed = " + "[" * 100_000),
        ("deep.json", '{"seed": ' + "[" * 100_000),
        ("tables.toml", "[" + ".".join("a" * 5_000) + "]\nx = 1"),
        ("long.toml", "seed = " + "9" * 10_000),
        ("long.json", '{"seed": ' + "9" * 10_000 + "}"),
        ("pickle.toml", b"\x80\x04\x95\x00"),
        ("empty.json", ""),
    ],
)
def test_a_file_made_to_break_the_reader(tmp_path: Path, name: str, text: str | bytes) -> None:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(RecipeError):
        load_recipe(path)


@pytest.mark.parametrize("name", ["../outside.py:Method", "inner/../../outside.py:Method"])
def test_a_path_that_leaves_the_folder_runs_nothing(tmp_path: Path, name: str) -> None:
    mark = tmp_path / "it-ran"
    (tmp_path / "outside.py").write_text(f"import pathlib; pathlib.Path({str(mark)!r}).touch()")
    (tmp_path / "run" / "inner").mkdir(parents=True)
    path = tmp_path / "run" / "recipe.json"
    path.write_text(json.dumps({**VALUES, "method": {"name": name}}))
    with pytest.raises(RecipeError, match=r"is code: .* allow it with --trust-code"):
        load_recipe(path)
    assert not mark.exists()
