"""Suites: all comparisons of a protocol, put together from the shipped recipes."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from decant.interfaces import MethodSettings
from decant.recipe import Recipe, load_recipe, shipped_recipes

SUITES = {
    "cifar100": "the CIFAR-100 protocol: 240 epochs, no validation split, settings as published",
    "quick": "sizes for two CPU cores: a few epochs, tuned on validation images",
}
"""What can be reproduced, by name."""

_BASE = "dkd"


def suite(name: str) -> dict[str, Recipe]:
    """Pair of networks -> the recipe of its comparison.

    A pair of ``cifar100`` has the settings that the shipped recipes of this pair give each method, such as DKD's beta;
    they must agree in everything else. A pair of ``quick`` is a recipe by itself.

    Raises:
        ValueError: there is no such suite.

    Example:
        >>> suite("cifar100")["resnet56-resnet20"].method.beta
        2.0
    """
    if name not in SUITES:
        raise ValueError(f"no suite {name!r}; there are: {', '.join(SUITES)}")
    shelf = {path: file for path, file in shipped_recipes().items() if path.startswith(f"{name}/")}
    if name == "quick":
        recipes = {path.removeprefix("quick/"): load_recipe(file) for path, file in shelf.items()}
        return {pair: recipe for pair, recipe in recipes.items() if pair == _pair(recipe)}
    pairs = [path.rpartition("/")[2] for path in shelf if path.startswith(f"{name}/{_BASE}/")]
    return {pair: _with_all_methods(pair, shelf) for pair in pairs if not pair.endswith("-standardised")}


def chosen(recipes: Mapping[str, Recipe], pairs: list[str] | None) -> dict[str, Recipe]:
    """The recipes of these pairs, in this order; all of them for None.

    Raises:
        ValueError: a pair that the suite does not have.
    """
    if pairs is None:
        return dict(recipes)
    if unknown := [pair for pair in pairs if pair not in recipes]:
        raise ValueError(f"no pair {', '.join(unknown)}; there are: {', '.join(recipes)}")
    return {pair: recipes[pair] for pair in pairs}


def _pair(recipe: Recipe) -> str | None:
    return None if recipe.teacher is None else f"{recipe.teacher.network}-{recipe.student.name}"


def _with_all_methods(pair: str, shelf: Mapping[str, Path]) -> Recipe:
    """The recipe of dkd on this pair that compares what the others say of the same pair."""
    base: Recipe | None = None
    methods: dict[str, MethodSettings] = {}
    for path, file in shelf.items():
        _, method, stem = path.split("/")
        variant = stem.removeprefix(pair)
        if stem not in (pair, f"{pair}-standardised"):
            continue
        recipe = load_recipe(file)
        if recipe.method.name != method:  # a recipe of something else, such as an optimiser
            continue
        base = recipe if base is None else base
        methods[method + variant] = recipe.method
        if replace(recipe, method=base.method).trained != base.trained:
            raise ValueError(f"{path} differs from the other recipes of {pair} in more than its method")
    assert base is not None, "called for pairs that have a recipe"
    own = methods.pop(_BASE)
    return replace(base, method=own, compare=replace(base.compare, methods=methods))
