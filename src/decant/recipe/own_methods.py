"""Methods out of a Python file of the user's: `name = "my_file.py:MyMethod"`. Nothing is run that is not trusted."""

import dataclasses
import hashlib
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from decant.interfaces import BuildContext, Method, MethodSettings

Load = Callable[[str, str | None], type[MethodSettings]]
"""From a name like "folder/my_file.py:MyMethod" and the SHA-256 that the recipe pins, to the settings class."""


@dataclasses.dataclass(frozen=True)
class CodeFile:
    """A Python file: equal where name and content are, wherever it lies."""

    name: str
    content: bytes
    path: Path = dataclasses.field(compare=False)

    @property
    def sha256(self) -> str:
        """Hex digest of the content."""
        return hashlib.sha256(self.content).hexdigest()


def is_own(name: object) -> bool:
    """Whether a method's name is that of a class in a file."""
    return isinstance(name, str) and ".py" in name


def beside(method: Any, folder: Path) -> Any:
    """The table of a method (or a list of them) with the path of its file, where it names one, seen from ``folder``."""
    if isinstance(method, list):
        return [beside(part, folder) for part in method]
    if not isinstance(method, Mapping) or not is_own(method.get("name")):
        return method
    return {**method, "name": str(folder.resolve() / method["name"])}


def refuse(name: str, pinned: str | None) -> type[MethodSettings]:
    """Raise ValueError that says what loading would do; what is not there is told first."""
    path, _ = _parts_of(name)
    raise ValueError(
        f"{name} is code: to load it is to run all of {path}, which can do whatever you can. Read it, then allow it "
        "with --trust-code (in Python: load_recipe(..., trust_code=True))"
    )


def load(name: str, pinned: str | None) -> type[MethodSettings]:
    """The settings class, after running its file.

    Raises:
        ValueError: no such file or class, a file that cannot be run or is not the pinned one, a class that is not a
            frozen dataclass with a name and ``build``.
    """
    path, class_name = _parts_of(name)
    file = CodeFile(path.name, path.read_bytes(), path)
    if pinned not in (None, file.sha256):
        raise ValueError(
            f"{path} has changed: the recipe wants the file with sha256 {pinned}, got {file.sha256}; bring that file "
            "back, or take sha256 out of the recipe to use the new one"
        )
    return _settings_class(file, class_name)


def loaded_by(recipe: Any) -> Load:
    """A loader that knows the classes that a recipe has loaded already, and runs nothing."""
    known = {(settings.name, settings.sha256): type(settings) for settings in _own(recipe)}

    def find(name: str, pinned: str | None) -> type[MethodSettings]:
        if (found := known.get((Path(name).name, pinned))) is None:
            raise ValueError(f"{name} (sha256 {pinned}) is not code that is loaded already")
        return cast(type[MethodSettings], found)

    return find


def code_files(recipe: Any) -> dict[str, bytes]:
    """File name -> content of every file that a recipe takes methods from; they are kept beside its recipe.json.

    Raises:
        ValueError: two files of one name, which could not lie beside each other.
    """
    found: dict[str, bytes] = {}
    for settings in _own(recipe):
        file: CodeFile = type(settings).code_file
        if found.setdefault(file.name, file.content) != file.content:
            raise ValueError(f"methods come from two different files named {file.name}; rename one of them")
    return found


def named_code(values: Any) -> dict[str, str]:
    """Name -> SHA-256 of every method out of a file in a recipe's plain values."""
    if isinstance(values, list):
        return {name: digest for part in values for name, digest in named_code(part).items()}
    if not isinstance(values, Mapping):
        return {}
    own = {str(values["name"]): str(values.get("sha256"))} if is_own(values.get("name")) else {}
    return own | {name: digest for part in values.values() for name, digest in named_code(part).items()}


def _own(value: Any) -> Iterator[Any]:
    """All settings in a recipe that come from files, wherever they are."""
    if dataclasses.is_dataclass(value):
        if hasattr(type(value), "code_file"):
            yield value
        value = [getattr(value, field.name) for field in dataclasses.fields(value)]
    for part in value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ():
        yield from _own(part)


def _parts_of(name: str) -> tuple[Path, str]:
    file, separator, class_name = name.rpartition(":")
    if not separator or not file.endswith(".py") or not class_name.isidentifier():
        raise ValueError(f'expected "my_file.py:MyMethod", a file and the settings class in it, got {name!r}')
    path = Path(file)
    if not path.is_file():
        raise ValueError(f"there is no file {path}, from which to take the method {class_name}")
    return path, class_name


@cache  # one class for one content: recipes with equal settings are equal, however often they are loaded
def _settings_class(file: CodeFile, class_name: str) -> type[MethodSettings]:
    """The class as recipes hold it: ``name`` and ``sha256`` say which code it is, unknown settings are refused."""
    module = _run(file)
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


def _run(file: CodeFile) -> ModuleType:
    """The file as a module of its own, from the very bytes that were hashed."""
    module, filename = ModuleType(f"decant_method_{file.sha256[:16]}"), str(file.path)
    module.__file__ = filename
    sys.modules[module.__name__] = module  # where dataclasses and pydantic look for the names in annotations
    try:
        exec(compile(file.content, filename, "exec"), vars(module))
    except (Exception, SystemExit) as error:
        del sys.modules[module.__name__]
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == filename]
        line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
        raise ValueError(f"{filename}, line {line}, cannot be run: {type(error).__name__}: {error}") from error
    return module
