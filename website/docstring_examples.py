"""Examples in docstrings as code: from the first `>>>` to the next empty line."""

from collections.abc import Iterator
from typing import Any

import griffe


def with_code(docstring: str) -> str:
    """The docstring with a fence around each example."""
    return "\n".join(_fenced(docstring.split("\n"))).removesuffix("\n")


def _fenced(lines: list[str]) -> Iterator[str]:
    indent: str | None = None
    for line in [*lines, ""]:
        if indent is None and line.lstrip().startswith(">>>"):
            indent = line[: len(line) - len(line.lstrip())]
            yield f"{indent}```pycon"
        elif indent is not None and not line.strip():
            yield f"{indent}```"
            indent = None
        yield line


class DocstringExamples(griffe.Extension):
    """Does so for everything that is documented."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called for every module, class, function and attribute."""
        if obj.docstring is not None:
            obj.docstring.value = with_code(obj.docstring.value)
