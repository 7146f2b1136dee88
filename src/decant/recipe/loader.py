"""From a file to a recipe, strictly: all errors at once, each with the nearest right name.

Types are checked in pydantic's strict mode on JSON, the only mode in which `true` is not 1.0 and `"2"` is not 2.
"""

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from decant.recipe.faults import explain
from decant.recipe.settings import Recipe

DEFAULT_TASK = "classification"
TASKS = (DEFAULT_TASK, "detection")
"""What recipes can teach; each task has a dataclass of its own."""


class RecipeError(ValueError):
    """A recipe that cannot be used; the message lists every fault."""

    def __init__(self, where: str, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        lines = "\n".join(f"  - {fault}" for fault in faults)
        super().__init__(f"{where}: {len(faults)} fault{'s' if len(faults) > 1 else ''} in the recipe\n{lines}")


class AnyRecipe(Protocol):
    """A recipe of any task: a frozen dataclass that knows which part of it decides a result."""

    @property
    def trained(self) -> "AnyRecipe":
        """The same without what trains nothing."""
        ...


Kind = TypeVar("Kind", bound=AnyRecipe)


@cache
def _adapter(kind: type[AnyRecipe]) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def recipe_from_dict(values: Mapping[str, Any], *, where: str = "recipe") -> Recipe:
    """The recipe of a plain dictionary, such as a parsed file.

    Raises:
        RecipeError: unknown keys, wrong types, impossible values; all of them at once.
    """
    return recipe_as(Recipe, values, where=where)


def recipe_as(kind: type[Kind], values: Mapping[str, Any], *, where: str = "recipe") -> Kind:
    """The recipe of a plain dictionary as one of this dataclass; errors as for :func:`recipe_from_dict`."""
    task = values.get("task", DEFAULT_TASK) if isinstance(values, Mapping) else DEFAULT_TASK
    if task != (own := getattr(kind, "task", DEFAULT_TASK)) and task in TASKS:
        raise RecipeError(where, [f"task: this is a recipe of {task}, but what was asked for is there for {own} alone"])
    try:
        text = json.dumps(values, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise RecipeError(where, [f"a value that a recipe cannot hold: {error}"]) from None
    try:
        return cast(Kind, _adapter(kind).validate_json(text, strict=True))
    except ValidationError as error:
        raise RecipeError(where, explain(error, values, kind)) from None


def recipe_to_dict(recipe: AnyRecipe) -> dict[str, Any]:
    """The recipe as plain JSON values; ``recipe_from_dict`` gives it back."""
    return cast(dict[str, Any], json.loads(json.dumps(asdict(cast(Any, recipe)))))


def recipe_hash(recipe: AnyRecipe) -> str:
    """Hex digest of all that decides what the recipe trains (what it compares does not)."""
    values = recipe_to_dict(recipe.trained)
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def load_recipe(path: str | Path, overrides: Sequence[str] = (), *, overrides_beside: Path | None = None) -> Recipe:
    """Read a recipe from a .toml file, or from the recipe.json of a run.

    Args:
        path: the file.
        overrides: ``key=value`` with a dotted key and a TOML value, such as ``method.beta=4.0``; text may go unquoted.
            A path in it is relative to ``overrides_beside``.
        overrides_beside: a folder; None for the recipe's own.

    Raises:
        RecipeError: the file is missing or not TOML, or the recipe has faults.
    """
    return load_as(Recipe, path, overrides, overrides_beside=overrides_beside)


def task_of(path: str | Path, overrides: Sequence[str] = ()) -> str:
    """What a recipe's file says that is learned."""
    values = _read(Path(path))
    for override in overrides:
        _override(values, override)
    return str(values.get("task", DEFAULT_TASK))


def load_as(
    kind: type[Kind], path: str | Path, overrides: Sequence[str] = (), *, overrides_beside: Path | None = None
) -> Kind:
    """Read a recipe as one of this dataclass; arguments and errors as for :func:`load_recipe`."""
    path = Path(path)
    values = _inline(_read(path), path.parent, seen=(path.resolve(),))
    for override in overrides:
        _override(values, override)
    # Paths of the file are resolved by now; what is left to resolve came with an override.
    values = _inline(values, path.parent if overrides_beside is None else overrides_beside, seen=(path.resolve(),))
    return recipe_as(kind, values, where=str(path))


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        hint = "" if path.suffix else "; the file of a shipped recipe: find_recipe(name)"
        raise RecipeError(str(path), [f"cannot be read: {error.strerror}{hint}"]) from None
    except UnicodeDecodeError as error:
        raise RecipeError(str(path), [f"is not UTF-8 text: {error.reason} at byte {error.start}"]) from None
    try:
        values = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (tomllib.TOMLDecodeError, json.JSONDecodeError) as error:
        kind = "JSON" if path.suffix == ".json" else "TOML"
        raise RecipeError(str(path), [f"is not {kind}: {error}"]) from None
    if not isinstance(values, dict):
        raise RecipeError(str(path), [f"expected a table of settings, got {type(values).__name__}"])
    return values


def _inline(values: dict[str, Any], folder: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    """Replace the teacher's recipe path by that recipe, and its weights' path by an absolute one."""
    teacher = values.get("teacher")
    if not isinstance(teacher, dict):
        return values
    if isinstance(teacher.get("weights"), str):
        teacher = {**teacher, "weights": str((folder / teacher["weights"]).resolve())}
    if isinstance(teacher.get("recipe"), str):
        path = folder / teacher["recipe"]
        if path.resolve() in seen:
            chain = " -> ".join(str(step) for step in (*seen, path.resolve()))
            raise RecipeError(str(seen[0]), [f"teacher.recipe comes back to itself: {chain}"])
        nested = _inline(_read(path), path.parent, (*seen, path.resolve()))
        teacher = {**teacher, "recipe": nested}
    return {**values, "teacher": teacher}


def _override(values: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    parts = key.strip().split(".")
    if not separator or not all(parts):
        raise RecipeError("--set", [f"expected key=value, such as method.beta=4.0, got {override!r}"])
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    table = values
    for part in parts[:-1]:
        inner = table.get(part)
        # Tables are copied on the way down: the caller's dictionaries stay as they were.
        table[part] = dict(inner) if isinstance(inner, dict) else {}
        table = table[part]
    table[parts[-1]] = value
