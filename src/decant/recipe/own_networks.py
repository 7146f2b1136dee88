"""Networks out of a Python file of the user's: `name = "my_file.py:make"`, called as `make(num_classes=C)`."""

import dataclasses
import inspect
import json
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar, cast

from pydantic import GetCoreSchemaHandler, TypeAdapter, ValidationInfo
from pydantic_core import CoreSchema, core_schema
from torch import nn

from decant.recipe.own_code import CodeFile, Open, is_own, parts_of, refuse, run, trust

TAGS = ("<of decant>", "<of a file>")
"""What pydantic puts into the place of a fault in something that has a name: whose it is."""

Settings = TypeVar("Settings")


class OfAFileToo:
    """Tells pydantic that the network of these settings may come from a file."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def own(value: dict[str, Any], info: ValidationInfo) -> Any:
            allowed = cast(Open, info.context)(value["name"], value.get("sha256"))
            settings = network_settings(source, allowed, value["name"].rpartition(":")[2])
            given = {key: setting for key, setting in value.items() if key not in ("name", "sha256")}
            return TypeAdapter(settings).validate_json(json.dumps(given), strict=True, context=info.context)

        of_a_file = core_schema.with_info_plain_validator_function(own)
        return core_schema.tagged_union_schema({TAGS[0]: handler(source), TAGS[1]: of_a_file}, tag_of)


def tag_of(value: Any) -> str:
    """Which of ``TAGS`` a table with a ``name`` has."""
    return TAGS[is_own(value.get("name") if isinstance(value, dict) else None)]


def network_settings(kind: type[Settings], file: CodeFile, function: str) -> type[Settings]:
    """Settings of this kind whose network the file makes: ``name`` and ``sha256`` say which code it is.

    Args:
        kind: a frozen dataclass with the fields of a network by its name, and ``require_known`` and ``build``.
        file: what may be run.
        function: what in it makes the network: it is called with ``num_classes``, with ``in_channels`` where it takes
            that, and with the settings' options.

    Raises:
        ValueError: a file that cannot be run, no such function.
    """
    return cast(type[Settings], _settings_class(cast(Any, kind), file, function))


@cache  # one class for one content: recipes with equal settings are equal, however often they are loaded
def _settings_class(kind: Any, file: CodeFile, function: str) -> Any:
    module = run(file)
    make = getattr(module, function, None)
    if not callable(make):
        own = [
            name
            for name, value in vars(module).items()
            if callable(value) and getattr(value, "__module__", None) == module.__name__
        ]
        raise ValueError(
            f"{file.path}: {function} is not a function (or class) in this file; there is: {', '.join(own) or 'none'}"
        )

    def require_known(self: Any) -> None:
        if self.pretrained:
            raise ValueError(f"{self.name} comes without pretrained weights; give a file of weights")
        try:
            inspect.signature(make).bind(**_words(make, 1, 1, self.options))
        except TypeError as error:
            words = ", ".join(_words(make, 1, 1, self.options))
            raise ValueError(f"{self.name} must take num_classes, and is called with {words}: {error}") from None

    def build(self: Any, *, classes: int | None, channels: int, pretrained: bool = False) -> nn.Module:
        if classes is None:
            raise ValueError(f"{self.name} has no classes of its own")
        try:
            network = make(**_words(make, classes, channels, self.options))
        except Exception as error:  # the user's code raises what it will
            raise ValueError(f"{self.name} cannot be built: {type(error).__name__}: {error}") from error
        if not isinstance(network, nn.Module):
            raise ValueError(f"{self.name} must return a torch module, got {type(network).__name__}")
        return network

    namespace = {
        "__module__": kind.__module__,
        "__doc__": kind.__doc__,
        "__pydantic_config__": {"extra": "forbid"},
        "require_known": require_known,
        "build": build,
        "code_file": file,
    }
    said = {"name": f"{file.name}:{function}", "sha256": file.sha256}
    fields = [(name, str, dataclasses.field(default=value, kw_only=True)) for name, value in said.items()]
    return dataclasses.make_dataclass(kind.__name__, fields, bases=(kind,), namespace=namespace, frozen=True)


def _words(make: Callable[..., Any], classes: int, channels: int, options: dict[str, Any]) -> dict[str, Any]:
    """What the function is called with."""
    words = {"num_classes": classes}
    if "in_channels" in inspect.signature(make).parameters:
        words["in_channels"] = channels
    return words | options


def network_named(kind: type[Settings], name: str, *, trust_code: bool = False, **settings: Any) -> Settings:
    """Settings of this kind for a network by its name, which may be in a file.

    Args:
        kind: `NetworkSettings` or `TeacherSettings`.
        name: as in a recipe; the path of a file is relative to the current folder.
        trust_code: whether that file may be run.
        settings: the other fields.

    Raises:
        ValueError: no such network; code that is not trusted.
    """
    if not is_own(name):
        return cast(Callable[..., Settings], kind)(name=name, **settings)
    file = (trust if trust_code else refuse)(name, None)
    return network_of_code(kind, file, parts_of(name)[1], **settings)


def network_of_code(kind: type[Settings], file: CodeFile, function: str, **settings: Any) -> Settings:
    """Settings of this kind whose network ``function`` in the file makes; ``settings`` are the other fields.

    Raises:
        ValueError: a file that cannot be run, no such function, or one that cannot be called so.
    """
    return cast(Callable[..., Settings], network_settings(kind, file, function))(**settings)
