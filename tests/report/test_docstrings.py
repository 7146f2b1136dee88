import doctest
import importlib
import pkgutil

import pytest

import decant.evidence
import decant.report

MODULES = [
    f"{package.__name__}.{module.name}"
    for package in (decant.evidence, decant.report)
    for module in pkgutil.iter_modules(package.__path__)
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_docstrings_are_true(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples() -> None:
    assert doctest.testmod(importlib.import_module("decant.evidence.statistics")).attempted > 5
