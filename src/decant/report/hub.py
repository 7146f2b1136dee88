"""Sending a student to a hub of models: only when asked, and told beforehand what goes where."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from decant.engine.checkpoint import CARD_FILE, STUDENT_FILE, read_about
from decant.engine.student_code import kept_code


class Hub(Protocol):
    """What is asked of a hub's client; ``huggingface_hub.HfApi`` has it."""

    def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> Any:
        """Make a repository, where there is none of that name."""
        ...

    def upload_folder(self, *, repo_id: str, folder_path: str, commit_message: str) -> Any:
        """Send a folder's files in one commit."""
        ...


@dataclass(frozen=True)
class Parcel:
    """What will be sent where.

    Attributes:
        repository: owner/name.
        private: whether a new repository is seen by its owner alone.
        files: name in the repository -> file here.
    """

    repository: str
    private: bool
    files: dict[str, Path]

    @property
    def lines(self) -> list[str]:
        """What a person should know before it is sent."""
        kind = "private" if self.private else "public"
        sent = [f"  {name}  {path.stat().st_size:,} bytes  ({path})" for name, path in self.files.items()]
        return [f"to https://huggingface.co/{self.repository} ({kind}, if it is new):", *sent]


def parcel(folder: Path, to: str, *, private: bool = True) -> Parcel:
    """What pushing a folder would send: the student, its card as README.md, its code, and what was exported beside it.

    Args:
        folder: of a run, or of ``decant distill``.
        to: ``hf:owner/name``.
        private: whether a new repository is seen by its owner alone.

    Raises:
        FileNotFoundError: no student, no card, or not the Python file that makes the student's network.
        ValueError: another destination, or another Python file.
    """
    kind, _, repository = to.partition(":")
    owner, _, name = repository.partition("/")
    if kind != "hf" or not owner or not name or "/" in name:
        raise ValueError(f"expected a destination hf:owner/name, got {to!r}")
    for file, remedy in ((STUDENT_FILE, "name a finished run's folder"), (CARD_FILE, f"decant card {folder}")):
        if not (folder / file).is_file():
            raise FileNotFoundError(f"there is no {folder / file}: {remedy}")
    exported = sorted(path for path in folder.glob("student.*") if path.is_file() and path.name != STUDENT_FILE)
    files = {STUDENT_FILE: folder / STUDENT_FILE, "README.md": folder / CARD_FILE}
    if (code := kept_code(files[STUDENT_FILE], read_about(files[STUDENT_FILE]))) is not None:
        files[code.name] = code.path
    return Parcel(repository, private, files | {path.name: path for path in exported})


def send(parcel: Parcel, hub: Hub) -> None:
    """Send it, in one commit; the hub's own client says what is wrong with a name or a login."""
    with TemporaryDirectory() as folder:
        for name, path in parcel.files.items():
            shutil.copyfile(path, Path(folder) / name)
        hub.create_repo(parcel.repository, private=parcel.private, exist_ok=True)
        hub.upload_folder(repo_id=parcel.repository, folder_path=folder, commit_message="A student, made with Decant")
