"""Each method is in every place that CONTRIBUTING lists, under one name, and says where it was published."""

import ast
import importlib
import inspect
import re
from pathlib import Path

import pytest

from decant import losses, methods
from decant.interfaces import Method
from decant.methods import METHODS, Source

ROOT = Path(__file__).parents[2]
TAUGHT = [name for name in METHODS if name != "supervised"]
PLACES = re.findall(r"`([\w/.-]*NAME[\w/.-]*)`", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
WITHOUT_AN_EQUATION_OF_OURS = {"supervised", "fitnet", "simkd"}
"""Cross-entropy and a mean square are torch's."""


def imported(module: str) -> dict[str, set[str]]:
    """Module -> names that a module of decant.methods takes from it, through the other files of methods too."""
    found: dict[str, set[str]] = {}
    path = ROOT / "src" / Path(*module.split(".")).with_suffix(".py")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            found.setdefault(node.module, set()).update(alias.name for alias in node.names)
            if node.module.startswith("decant.methods."):
                for name, taken in imported(node.module).items():
                    found.setdefault(name, set()).update(taken)
    return found


def test_contributing_names_the_places() -> None:
    assert [Path(place).parts[0] for place in PLACES] == ["src", "src", "recipes", "docs"]


@pytest.mark.parametrize("name", TAUGHT)
def test_a_method_is_where_contributing_says(name: str) -> None:
    for place in PLACES:
        if "losses" not in place:  # only where the equation is a new one
            assert (ROOT / place.replace("NAME", name)).is_file(), place


@pytest.mark.parametrize("name", METHODS)
def test_settings_and_method_are_exported_from_the_file_of_that_name(name: str) -> None:
    module = importlib.import_module(f"decant.methods.{name}")
    assert METHODS[name].__module__ == module.__name__
    made_here = [
        value for _, value in inspect.getmembers(module, inspect.isclass) if value.__module__ == module.__name__
    ]
    method = [value for value in made_here if issubclass(value, Method)]
    assert len(method) == 1
    assert {METHODS[name].__name__, method[0].__name__} <= set(methods.__all__)


@pytest.mark.parametrize("name", METHODS)
def test_its_equation_is_exported_and_described(name: str) -> None:
    equations = imported(f"decant.methods.{name}").get("decant.losses", set())
    assert bool(equations) == (name not in WITHOUT_AN_EQUATION_OF_OURS)
    page = (ROOT / "docs" / "losses.md").read_text(encoding="utf-8")
    for equation in equations:
        assert equation in losses.__all__
        described = {equation, equation.replace("_terms", "_loss")}
        assert any(name in page for name in described), "terms may be described with the loss that they make"


@pytest.mark.parametrize("name", TAUGHT)
def test_its_source_is_that_of_its_page_and_of_its_file(name: str) -> None:
    source = getattr(METHODS[name], "source", None)
    assert isinstance(source, Source)
    assert re.fullmatch(r"arXiv:\d{4}\.\d{4,5}|\w+ \d{4}", source.paper)
    opening = (ROOT / "docs" / "methods" / f"{name}.md").read_text(encoding="utf-8").split("\n\n")[1]
    assert source.paper in opening
    assert str(source.year) in opening
    first = (importlib.import_module(f"decant.methods.{name}").__doc__ or "").partition("\n")[0]
    assert source.paper in first
    assert str(source.year) in first
