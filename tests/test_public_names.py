"""What users import exists and is described, and every example in a docstring is true."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import decant

MODULES = sorted(
    module.name for module in pkgutil.walk_packages(decant.__path__, "decant.") if not module.name.endswith("__main__")
)


def test_the_public_names_are_there_and_sorted() -> None:
    assert set(decant.__all__) <= vars(decant).keys()
    assert len(set(decant.__all__)) == len(decant.__all__)
    gathered = {name for name, value in vars(decant).items() if inspect.isclass(value) or inspect.isfunction(value)}
    assert gathered <= set(decant.__all__), "imported at the top, but not said to be public"


@pytest.mark.parametrize("name", decant.__all__)
def test_a_public_name_says_what_it_is(name: str) -> None:
    value = getattr(decant, name)
    if not (inspect.isclass(value) or inspect.isfunction(value)):
        return  # data: what it is stands below its definition
    doc = value.__doc__
    assert doc, f"{name} has no docstring of its own"
    assert not doc.startswith(f"{name}("), f"{name} has only the signature that dataclasses write"
    assert doc.partition("\n")[0].endswith((".", ":")), f"{name}: the first line is one whole sentence"
    methods = [method for key, method in vars(value).items() if inspect.isfunction(method) and not key.startswith("_")]
    assert all(method.__doc__ for method in methods), f"{name}: {[method.__name__ for method in methods]}"


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_are_true(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__, "the module does not say what it is for"
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("name", ["kd_loss", "dkd_loss", "dkd_terms", "Distiller", "Tapped"])
def test_what_users_meet_first_shows_itself_at_work(name: str) -> None:
    finder = doctest.DocTestFinder(recurse=False)
    assert any(test.examples for test in finder.find(getattr(decant, name), name))
