"""From a file to a recipe, strictly: all errors at once, each with the nearest right name.

Types are checked in pydantic's strict mode on JSON, the only mode in which `true` is not 1.0 and `"2"` is not 2.
"""

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from decant.methods import ComposedSettings
from decant.recipe.faults import explain
from decant.recipe.own_code import beside, code_files, loaded_by, refuse, trust
from decant.recipe.settings import Recipe

DEFAULT_TASK = "classification"
TASKS = (DEFAULT_TASK, "multilabel", "detection")
"""What recipes can teach; the last has a dataclass of its own."""


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


def recipe_from_dict(
    values: Mapping[str, Any],
    *,
    where: str = "recipe",
    trust_code: bool = False,
    same_code_as: AnyRecipe | None = None,
) -> Recipe:
    """The recipe of a plain dictionary, such as a parsed file.

    Args:
        values: the dictionary.
        where: what to call it in messages.
        trust_code: whether the Python files that it takes methods and networks from may be run.
        same_code_as: a recipe whose code is loaded already and may be named here too; other code is refused.

    Raises:
        RecipeError: unknown keys, wrong types, impossible values, code that is not trusted; all of them at once.
    """
    return recipe_as(Recipe, values, where=where, trust_code=trust_code, same_code_as=same_code_as)


def recipe_as(
    kind: type[Kind],
    values: Mapping[str, Any],
    *,
    where: str = "recipe",
    trust_code: bool = False,
    same_code_as: AnyRecipe | None = None,
) -> Kind:
    """The recipe of a plain dictionary as one of this dataclass; the rest as for :func:`recipe_from_dict`."""
    task = values.get("task", DEFAULT_TASK) if isinstance(values, Mapping) else DEFAULT_TASK
    own = getattr(kind, "task", DEFAULT_TASK)
    if (task == "detection") != (own == "detection") and task in TASKS:
        raise RecipeError(where, [f"task: this is a recipe of {task}, but what was asked for is there for {own} alone"])
    code = trust if trust_code else refuse if same_code_as is None else loaded_by(same_code_as)
    try:
        text = json.dumps(values, allow_nan=False)
    except RecursionError:
        raise RecipeError(where, ["is nested too deeply"]) from None
    except (TypeError, ValueError) as error:
        raise RecipeError(where, [f"a value that a recipe cannot hold: {error}"]) from None
    try:
        recipe = cast(Kind, _adapter(kind).validate_json(text, strict=True, context=code))
        code_files(recipe)
    except ValidationError as error:
        raise RecipeError(where, explain(error, values, code, kind)) from None
    except (ValueError, OSError) as error:  # the second of a path to code that no file can have
        raise RecipeError(where, [str(error)]) from None
    return recipe


def recipe_to_dict(recipe: AnyRecipe) -> dict[str, Any]:
    """The recipe as plain JSON values; ``recipe_from_dict`` gives it back."""
    return cast(dict[str, Any], _plain(recipe))


def _plain(value: Any) -> Any:
    if isinstance(value, ComposedSettings):
        return _plain(value.parts)
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def recipe_hash(recipe: AnyRecipe) -> str:
    """Hex digest of all that decides what the recipe trains (what it compares does not)."""
    values = recipe_to_dict(recipe.trained)
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def load_recipe(
    path: str | Path,
    overrides: Sequence[str] = (),
    *,
    overrides_beside: Path | None = None,
    trust_code: bool = False,
    same_code_as: AnyRecipe | None = None,
) -> Recipe:
    """Read a recipe from a .toml file, or from the recipe.json of a run.

    Args:
        path: the file.
        overrides: ``key=value`` with a dotted key and a TOML value, such as ``method.beta=4.0``; text may go unquoted.
            A path in it is relative to ``overrides_beside``.
        overrides_beside: a folder; None for the recipe's own.
        trust_code: whether the Python files that it takes methods and networks from (`method.name =
            "my_file.py:MyMethod"`) may be run; such a path is relative to the file that names it.
        same_code_as: a recipe whose code is loaded already and may be named here too; other code is refused.

    Raises:
        RecipeError: the file is missing or not TOML, or the recipe has faults, or code that is not trusted.
    """
    return load_as(
        Recipe,
        path,
        overrides,
        overrides_beside=overrides_beside,
        trust_code=trust_code,
        same_code_as=same_code_as,
    )


def with_overrides(recipe: Recipe, overrides: Sequence[str], *, where: str = "recipe") -> Recipe:
    """The same recipe with settings changed, as :func:`load_recipe` changes those of a file.

    Raises:
        RecipeError: the change has faults; ``where`` says of what.
    """
    values = recipe_to_dict(recipe)
    for override in overrides:
        _override(values, override)
    return recipe_from_dict(_inline(values, Path(), seen=()), where=where, same_code_as=recipe)


def task_of(path: str | Path, overrides: Sequence[str] = ()) -> str:
    """What a recipe's file says that is learned."""
    values = _read(Path(path))
    for override in overrides:
        _override(values, override)
    return str(values.get("task", DEFAULT_TASK))


def load_as(
    kind: type[Kind],
    path: str | Path,
    overrides: Sequence[str] = (),
    *,
    overrides_beside: Path | None = None,
    trust_code: bool = False,
    same_code_as: AnyRecipe | None = None,
) -> Kind:
    """Read a recipe as one of this dataclass; arguments and errors as for :func:`load_recipe`."""
    path = Path(path)
    try:
        values = _inline(_read(path), path.parent, seen=(path.resolve(),))
        for override in overrides:
            _override(values, override)
        # Paths of the file are resolved by now; what is left to resolve came with an override.
        values = _inline(values, path.parent if overrides_beside is None else overrides_beside, seen=(path.resolve(),))
    except RecipeError:
        raise
    except (ValueError, OSError) as error:
        raise RecipeError(str(path), [f"a path that no file can have: {error}"]) from None
    return recipe_as(kind, values, where=str(path), trust_code=trust_code, same_code_as=same_code_as)


def with_changes(recipe: Recipe, changes: Sequence[str], *, beside: Path = Path()) -> Recipe:
    """The recipe with some settings changed, through the same door as a file.

    Args:
        recipe: what is changed; code that it does not use already may not come with a change.
        changes: ``key=value`` as for :func:`load_recipe`.
        beside: what paths in them are relative to.

    Raises:
        RecipeError: a change that cannot be made.
    """
    values = recipe_to_dict(recipe)
    for change in changes:
        _override(values, change)
    return recipe_as(Recipe, _inline(values, beside, seen=()), where="--set", same_code_as=recipe)


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
    except RecursionError:
        raise RecipeError(str(path), ["is nested too deeply"]) from None
    except ValueError as error:  # also of a number with too many digits
        kind = "JSON" if path.suffix == ".json" else "TOML"
        raise RecipeError(str(path), [f"is not {kind}: {error}"]) from None
    if not isinstance(values, dict):
        raise RecipeError(str(path), [f"expected a table of settings, got {type(values).__name__}"])
    return values


def _inline(values: dict[str, Any], folder: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    """Replace the teacher's recipe path by that recipe, and paths of weights and of methods by absolute ones."""
    values, compared = dict(values), values.get("compare")
    if "method" in values:
        values["method"] = beside(values["method"], folder)
    if isinstance(compared, dict) and isinstance(compared.get("methods"), dict):
        methods = {name: beside(method, folder) for name, method in compared["methods"].items()}
        values["compare"] = {**compared, "methods": methods}
    if "student" in values:
        values["student"] = _weights_beside(beside(values["student"], folder), folder)
    teacher = values.get("teacher")
    if not isinstance(teacher, dict):
        return values
    return {**values, "teacher": _inline_teacher(teacher, folder, seen)}


def _weights_beside(network: Any, folder: Path) -> Any:
    if not isinstance(network, dict) or not isinstance(network.get("weights"), str):
        return network
    return {**network, "weights": str((folder / network["weights"]).resolve())}


def _inline_teacher(teacher: dict[str, Any], folder: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    teacher = _weights_beside(beside(teacher, folder), folder)
    if isinstance(teacher.get("also"), list):
        also = [_inline_teacher(other, folder, seen) if isinstance(other, dict) else other for other in teacher["also"]]
        teacher = {**teacher, "also": also}
    if isinstance(teacher.get("recipe"), str):
        path = folder / teacher["recipe"]
        if path.resolve() in seen:
            chain = " -> ".join(str(step) for step in (*seen, path.resolve()))
            raise RecipeError(str(seen[0]), [f"teacher.recipe comes back to itself: {chain}"])
        nested = _inline(_read(path), path.parent, (*seen, path.resolve()))
        teacher = {**teacher, "recipe": nested}
    elif isinstance(teacher.get("recipe"), dict):
        teacher = {**teacher, "recipe": _inline(teacher["recipe"], folder, seen)}
    return teacher


def _override(values: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    parts = key.strip().split(".")
    if not separator or not all(parts):
        raise RecipeError("--set", [f"expected key=value, such as method.beta=4.0, got {override!r}"])
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    _put(values, parts, value)


def _put(table: dict[str, Any], parts: Sequence[str], value: Any, above: str = "") -> None:
    """Set a value deep inside; what lies on the way is copied, so that the caller's tables stay as they were."""
    first, *rest = parts
    if not rest:
        table[first] = value
        return
    inner, where = table.get(first), f"{above}{first}."
    if isinstance(inner, list) and inner and all(isinstance(item, dict) for item in inner):  # several methods
        positions = {str(position): item for position, item in enumerate(inner)}
        if rest[0] not in positions:
            names = ", ".join(f"{where}{position} is {item.get('name')}" for position, item in positions.items())
            raise RecipeError("--set", [f"{where}{'.'.join(rest)}: there are several, by position: {names}"])
        _put(positions, rest, value, where)
        table[first] = list(positions.values())
        return
    table[first] = dict(inner) if isinstance(inner, dict) else {}
    _put(table[first], rest, value, where)
