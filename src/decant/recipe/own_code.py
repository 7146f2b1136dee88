"""Python files of the user's in a recipe: `name = "my_file.py:MyMethod"`. Nothing is run that is not trusted."""

import dataclasses
import hashlib
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any


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


Open = Callable[[str, str | None], CodeFile]
"""From a name like "folder/my_file.py:MyMethod" and the SHA-256 that the recipe pins, to a file that may be run."""


def is_own(name: object) -> bool:
    """Whether a name is that of something in a file; ``timm/regnety_040.pycls_in1k`` is not."""
    return isinstance(name, str) and ".py" in name and (":" in name or name.endswith(".py"))


def beside(named: Any, folder: Path) -> Any:
    """A table (or a list of them) with the path of its file, where its name is in one, seen from ``folder``."""
    if isinstance(named, list):
        return [beside(part, folder) for part in named]
    if not isinstance(named, Mapping) or not is_own(named.get("name")):
        return named
    return {**named, "name": str(folder.resolve() / named["name"])}


def refuse(name: str, pinned: str | None) -> CodeFile:
    """Raise ValueError that says what loading would do; what is not there is told first."""
    path, _ = parts_of(name)
    raise ValueError(
        f"{name} is code: to load it is to run all of {path}, which can do whatever you can. Read it, then allow it "
        "with --trust-code (in Python: load_recipe(..., trust_code=True))"
    )


def trust(name: str, pinned: str | None) -> CodeFile:
    """The file, to be run.

    Raises:
        ValueError: no such file, or one that is not the pinned one.
    """
    path, _ = parts_of(name)
    file = CodeFile(path.name, path.read_bytes(), path)
    if pinned not in (None, file.sha256):
        raise ValueError(
            f"{path} has changed: the recipe wants the file with sha256 {pinned}, got {file.sha256}; bring that file "
            "back, or take sha256 out of the recipe to use the new one"
        )
    return file


def loaded_by(recipe: Any) -> Open:
    """A way to the files that a recipe has loaded already, which runs nothing."""
    known: dict[tuple[str, str | None], CodeFile] = {
        (settings.name, settings.sha256): type(settings).code_file for settings in _own(recipe)
    }

    def find(name: str, pinned: str | None) -> CodeFile:
        if (found := known.get((Path(name).name, pinned))) is None:
            raise ValueError(f"{name} (sha256 {pinned}) is not code that is loaded already")
        return found

    return find


def code_files(recipe: Any) -> dict[str, bytes]:
    """File name -> content of every file that a recipe takes code from; they are kept beside its recipe.json.

    Raises:
        ValueError: two files of one name, which could not lie beside each other.
    """
    found: dict[str, bytes] = {}
    for settings in _own(recipe):
        file: CodeFile = type(settings).code_file
        if found.setdefault(file.name, file.content) != file.content:
            raise ValueError(f"code comes from two different files named {file.name}; rename one of them")
    return found


def named_code(values: Any) -> dict[str, str]:
    """Name -> SHA-256 of everything out of a file in a recipe's plain values."""
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


def parts_of(name: str) -> tuple[Path, str]:
    """The file, and the name of what is in it.

    Raises:
        ValueError: a name of another form, or no such file.
    """
    file, separator, inner = name.rpartition(":")
    if not separator or not file.endswith(".py") or not inner.isidentifier():
        raise ValueError(
            f'expected "my_file.py:NAME", a file and what to take from it (a settings class, or a function that makes '
            f"a network), got {name!r}"
        )
    path = Path(file)
    if not path.is_file():
        raise ValueError(f"there is no file {path}, from which to take {inner}")
    return path, inner


@cache  # one module for one content: what is taken from a file twice is the same
def run(file: CodeFile) -> ModuleType:
    """The file as a module of its own, from the very bytes that were hashed.

    Raises:
        ValueError: it cannot be run; with the line.
    """
    module, filename = ModuleType(f"decant_code_{file.sha256[:16]}"), str(file.path)
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
