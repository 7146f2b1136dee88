"""The states that an interrupted run goes on from: the newest few, each with its checksum in its name.

A name is put in place by one act, so that a state and its checksum cannot be of two different moments.
"""

import hashlib
from collections.abc import Callable, Set
from pathlib import Path
from typing import Any

import torch

from decant.engine.checkpoint import write_atomically

KEPT = 2
"""States that are kept by default: a damaged newest one costs what was trained since the one before."""

_BEFORE_CHECKSUMS = "resume.pt"
"""What earlier versions kept: one file under one name."""
_DIGITS = 16


class ResumeStates:
    """The states in a run's folder.

    Args:
        folder: the run folder.
        keep: how many of the newest stay, at least 1.

    Raises:
        ValueError: a number that keeps nothing.
    """

    def __init__(self, folder: Path, keep: int = KEPT) -> None:
        if keep < 1:
            raise ValueError(f"at least 1 resume state is kept, got {keep}")
        self._folder, self._keep = folder, keep
        self._good: list[Path] = []

    def files(self) -> list[Path]:
        """All that are there, the newest first."""
        before = self._folder / _BEFORE_CHECKSUMS
        newest_first = sorted(self._folder.glob("resume-*.pt"), reverse=True)
        return [*newest_first, *([before] if before.exists() else [])]

    def save(self, steps: int, state: dict[str, Any]) -> None:
        """Keep the state after ``steps`` batches of training, then let go of those that are too many or damaged.

        Raises:
            OSError: the disk is full; the states that were there still are.
        """

        def write(temporary: Path) -> None:
            with temporary.open("wb") as file:  # given a path, torch hides why it cannot write
                torch.save(state, file)

        def name(temporary: Path) -> str:
            return f"resume-{steps:012d}-{_digest(temporary)}.pt"

        newest = write_atomically(self._folder / "resume.pt", write, name=name)
        self._good = [newest, *(path for path in self._good if path != newest)][: self._keep]
        for path in self.files():
            if path not in self._good:
                path.unlink()

    def load(self, keys: Set[str], say: Callable[[str], None]) -> dict[str, Any] | None:
        """The newest state that is whole and has these keys, on the CPU; None where there is none at all.

        No code in a file is ever run.

        Args:
            keys: what the state holds.
            say: told of those that are damaged.

        Raises:
            ValueError: all are damaged, or the newest whole one is of a version that kept something else.
        """
        files = self.files()
        if not files:
            return None
        for position, path in enumerate(files):
            if _whole(path):
                self._good = files[position:]
                return _read(path, keys)
            say(f"{path} is damaged, its checksum is another one; the state before it is taken")
        raise ValueError(
            f"{self._folder}: no resume state can be read, all are damaged ({', '.join(path.name for path in files)}); "
            "remove them to start the run again from its first epoch"
        )

    def remove(self) -> None:
        """Let go of all: there is nothing left to resume."""
        for path in self.files():
            path.unlink()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:_DIGITS]


def _whole(path: Path) -> bool:
    return path.name == _BEFORE_CHECKSUMS or path.stem.rpartition("-")[2] == _digest(path)


def _read(path: Path, keys: Set[str]) -> dict[str, Any]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if isinstance(state, dict) and path.name == _BEFORE_CHECKSUMS:
            state.setdefault("within", None)
        if not isinstance(state, dict) or state.keys() != keys:
            raise TypeError(f"expected a dictionary of {sorted(keys)}")
        return state
    except Exception as error:
        # Without torch's words: they recommend to unpickle without restriction.
        raise ValueError(
            f"{path}: the resume state cannot be read, it is damaged, or not what this version of Decant writes "
            f"({type(error).__name__}); remove this file to go on from the one before, or else from the first epoch"
        ) from error
