"""Pydantic's findings in the words of a recipe."""

import dataclasses
import difflib
from collections.abc import Mapping
from typing import Any, get_args, get_type_hints

from pydantic import ValidationError

from decant.interfaces import MethodSettings
from decant.methods import METHODS, MULTILABEL_METHODS
from decant.recipe.by_name import FORMS
from decant.recipe.own_code import Open
from decant.recipe.own_methods import settings_class
from decant.recipe.own_networks import TAGS, network_settings
from decant.recipe.settings import Recipe


def explain(error: ValidationError, values: Mapping[str, Any], code: Open, recipe: type[Any] = Recipe) -> list[str]:
    """One sentence per fault: the dotted key, what was expected, what came, and the nearest right name."""
    return [_sentence(dict(fault), values, code, recipe) for fault in error.errors()]


def _sentence(fault: dict[str, Any], values: Mapping[str, Any], code: Open, recipe: type[Any]) -> str:
    location, owner = _follow(fault["loc"], values, code, recipe)
    key = ".".join(location) or "recipe"
    kind = fault["type"]
    if kind in {"unexpected_keyword_argument", "extra_forbidden"}:
        names = [name for name in _field_names(owner) if name not in ("name", "sha256")]
        near = difflib.get_close_matches(location[-1], names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names)}"
        return f"{key}: no such setting; {hint}"
    if kind in {"missing", "missing_argument"}:
        return f"{key}: is missing"
    if kind == "union_tag_invalid":
        given, known = fault["ctx"]["tag"], [tag.strip().strip("'") for tag in fault["ctx"]["expected_tags"].split(",")]
        near = difflib.get_close_matches(str(given), known, n=1)
        return f"{key}.name: there is no {given!r}; " + (
            f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known)}"
        )
    if kind == "union_tag_not_found":
        return f"{key}.name: is missing"
    if kind == "value_error":
        return f"{key}: {fault['ctx']['error']}"
    return f"{key}: {fault['msg'][:1].lower()}{fault['msg'][1:]}, got {fault['input']!r}"


def _follow(
    location: tuple[int | str, ...], values: Mapping[str, Any], code: Open, recipe: type[Any]
) -> tuple[list[str], Any]:
    """The key as the user wrote it (without the tags pydantic puts in), and the class that owns its last part."""
    kind: Any = recipe
    value: Any = values
    path: list[str] = []
    owner: Any = recipe
    for part in location:
        if kind is MethodSettings and part in FORMS:
            continue
        if part in TAGS:
            if part == TAGS[1] and part != location[-1]:  # a fault inside: the class was loaded
                file, inner = code(str(value["name"]), value.get("sha256")), str(value["name"]).rpartition(":")[2]
                method = kind is MethodSettings
                kind = settings_class(file, inner) if method else network_settings(_only_dataclass(kind), file, inner)
            continue
        tagged = _variants(kind).get(str(part))
        if tagged is not None and isinstance(value, Mapping) and value.get("name") == part:
            kind = tagged
            continue
        owner = kind = _only_dataclass(kind)
        if isinstance(value, Mapping):
            kind, value = _type_of(kind, str(part)), value.get(part)
        else:  # one of a list
            kind = kind if kind is MethodSettings else (get_args(kind) or (None,))[0]
            value = value[part] if isinstance(value, list) and isinstance(part, int) else None
        path.append(str(part))
    return path, owner


def _variants(kind: Any) -> dict[str, Any]:
    """Name -> class, where the settings at this place are picked by name."""
    if kind is MethodSettings:
        return METHODS | MULTILABEL_METHODS
    found = {}
    for option in get_args(kind):
        if dataclasses.is_dataclass(option):
            for field in dataclasses.fields(option):
                if field.name == "name" and isinstance(field.default, str):
                    found[field.default] = option
    return found


def _only_dataclass(kind: Any) -> Any:
    """Unwrap `X | None`."""
    options = [option for option in get_args(kind) if dataclasses.is_dataclass(option)]
    return options[0] if len(options) == 1 else kind


def _type_of(kind: Any, name: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return get_type_hints(kind).get(name)
    if getattr(kind, "__origin__", None) is dict:
        return get_args(kind)[1]
    return None


def _field_names(kind: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else []
