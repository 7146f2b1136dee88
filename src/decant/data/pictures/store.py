"""Where the bytes of a picture are: in a file of its own, or inside something larger."""

from pathlib import Path
from typing import BinaryIO, Protocol


class Store(Protocol):
    """A kind of place that pictures lie in; it travels to worker processes."""

    def open(self, root: Path, path: str) -> Path | BinaryIO:
        """What to read the picture of this path from.

        Raises:
            OSError: it is not there.
        """
        ...

    def where(self, root: Path, path: str) -> str:
        """The same in words."""
        ...


class Files:
    """Every picture is a file below the root."""

    def open(self, root: Path, path: str) -> Path:
        """The file."""
        return root / path

    def where(self, root: Path, path: str) -> str:
        """The file's path."""
        return str(root / path)
