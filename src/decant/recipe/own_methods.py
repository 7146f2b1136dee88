"""Methods out of a Python file of the user's: `name = "my_file.py:MyMethod"`."""

import dataclasses
from functools import cache
from types import ModuleType
from typing import Any, cast

from decant.interfaces import BuildContext, Method, MethodSettings
from decant.recipe.own_code import CodeFile, run


@cache  # one class for one content: recipes with equal settings are equal, however often they are loaded
def settings_class(file: CodeFile, class_name: str) -> type[MethodSettings]:
    """The class as recipes hold it: ``name`` and ``sha256`` say which code it is, unknown settings are refused.

    Raises:
        ValueError: a file that cannot be run, no such class, one that is not a frozen dataclass with a name and
            ``build``.
    """
    module = run(file)
    own: Any = getattr(module, class_name, None)
    made_here = [name for name, value in vars(module).items() if _fault(value, module) is None]
    if (fault := _fault(own, module)) is not None:
        there = f"; there is: {', '.join(made_here)}" if made_here else ""
        raise ValueError(f"{file.path}: {class_name} {fault}{there}")

    def build(self: Any, context: BuildContext) -> Method:
        # By the class as it was written: its own name serves for terms and messages, as it does without a recipe.
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(own) if field.init}
        made: Method = own(**{key: value for key, value in values.items() if key != "name"}).build(context)
        return made

    namespace = {
        "__module__": module.__name__,
        "__doc__": own.__doc__,
        "__pydantic_config__": {"extra": "forbid"},
        "build": build,
        "code_file": file,
    }
    said = {"name": f"{file.name}:{class_name}", "sha256": file.sha256}
    fields = [(name, str, dataclasses.field(default=value, kw_only=True)) for name, value in said.items()]
    return dataclasses.make_dataclass(class_name, fields, bases=(own,), namespace=namespace, frozen=True)


def _fault(own: Any, module: ModuleType) -> str | None:
    """What keeps something from being the settings class of a method; None for nothing."""
    if not isinstance(own, type) or own.__module__ != module.__name__:
        return "is not a class in this file"
    if not dataclasses.is_dataclass(own) or not cast(Any, own).__dataclass_params__.frozen:
        return "must be a dataclass, @dataclass(frozen=True), whose fields are the method's settings"
    names = {field.name for field in dataclasses.fields(own)}
    if "name" not in names or "sha256" in names:
        return 'must have a field `name`, such as name: str = "mine", and none called sha256'
    if not callable(getattr(own, "build", None)):
        return "must have `build(self, context)`, which returns the Method"
    return None
