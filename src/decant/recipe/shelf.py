"""The recipes that come with Decant, found by name."""

import difflib
from pathlib import Path

from decant.recipe.loader import RecipeError

_PACKAGE = Path(__file__).parents[1]


def shipped_recipes() -> dict[str, Path]:
    """Name -> file of every shipped recipe: `cifar100/dkd/resnet32x4-resnet8x4`, without the ending."""
    # In an installed package they lie inside it; in a checkout at its top, where people look for them.
    shelf = next(place for place in (_PACKAGE / "shipped_recipes", _PACKAGE.parents[1] / "recipes") if place.is_dir())
    return {path.relative_to(shelf).with_suffix("").as_posix(): path for path in sorted(shelf.rglob("*.toml"))}


def find_recipe(name_or_path: str) -> Path:
    """The file of a recipe: a path where there is such a file, else a shipped recipe's name.

    Raises:
        RecipeError: neither; the message has the nearest names.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    if path.is_dir() and (path / "recipe.json").is_file():  # a run folder: the recipe it was made with
        return path / "recipe.json"
    shelf = shipped_recipes()
    name = name_or_path.removeprefix("recipes/").removesuffix(".toml")
    if name in shelf:
        return shelf[name]
    near = difflib.get_close_matches(name, shelf, n=3, cutoff=0.4)
    hint = f"nearest: {', '.join(near)}" if near else "`decant list recipes` shows them"
    raise RecipeError(name_or_path, [f"there is no such file, and no shipped recipe of that name; {hint}"])
