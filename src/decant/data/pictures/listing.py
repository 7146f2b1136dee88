"""Which pictures there are, of which class and part: from a folder of class folders, or a table of paths and labels."""

import csv
import hashlib
import os
import stat
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from decant.data.pictures.decode import SUFFIXES
from decant.data.pictures.store import Files, Store

PARTS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
"""Name of a folder, or word in a table's ``split`` column -> part."""
_TABLES = {".csv": ",", ".tsv": "\t"}


class Entry(NamedTuple):
    """A file that is taken for a picture: where it is below the root, how large, its class, and its part if named."""

    path: str
    bytes: int
    label: str
    part: str | None


@dataclass(frozen=True)
class Listing:
    """What a folder or table names, before anything is read.

    Attributes:
        root: what paths are relative to.
        entries: in the order of their paths, or of the table's rows.
        labels: every class that is named, also those without a picture, sorted.
        lost: path -> why there is no file to read.
        notes: what was left aside, for people.
        store: what the paths are paths in.
    """

    root: Path
    entries: tuple[Entry, ...]
    labels: tuple[str, ...]
    lost: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    store: Store = field(default_factory=Files)

    def fingerprint(self) -> str:
        """SHA-256, in hex, of all paths, sizes and labels: the same data give the same, wherever they lie."""
        digest = hashlib.sha256()
        for entry in sorted(self.entries):
            digest.update(os.fsencode("\0".join(map(str, entry)) + "\n"))
        return digest.hexdigest()


def list_pictures(root: Path, *, several: bool = False) -> Listing:
    """The pictures of a folder or table; files are looked up, none is opened.

    - A folder whose subfolders are classes, or are ``train`` and ``val`` and/or ``test`` with classes below. Pictures
      may lie deeper. Links are followed. What begins with a dot, and what does not end like a picture, is left aside.
    - A ``.csv`` or ``.tsv`` file with columns ``path`` (relative to the table) and ``label``, and ``split`` if wanted;
      without a header, path and label.

    Class names are compared in Unicode's composed form (NFC), because file systems differ in it. With ``several``, a
    picture has any number of classes: of a table alone, in which a label is ``cat|dog``, or empty for none.

    Raises:
        FileNotFoundError: there is no such folder or table.
        ValueError: fewer than two classes; a link that leads back to a folder around it; a table without its columns.
    """
    if several and root.is_dir():
        raise ValueError(f"{root}: of several classes to a picture, give a .csv or .tsv file of path,label|label2")
    if root.is_dir():
        listing = _list_folder(root)
    elif root.is_file() and root.suffix.lower() in _TABLES:
        listing = _list_table(root, several)
    elif root.exists():
        raise ValueError(f"{root}: expected a folder of class folders, or a .csv or .tsv file of path,label")
    else:
        raise FileNotFoundError(
            f"{root}: there is no such folder or table; give a folder of class folders, or a .csv or .tsv of path,label"
        )
    if not several:
        require_two_classes(root, listing.labels)
    return listing


def pictures_below(folder: Path) -> list[Path]:
    """The files in a folder, however deep, that end like a picture, sorted; links are followed, none is opened.

    Raises:
        ValueError: a link that leads back to a folder around it.
    """
    return [folder / path for path, _ in _Walk(folder).pictures(".")]


def require_two_classes(root: Path, labels: Sequence[str]) -> None:
    """Raise ValueError where there is nothing to tell apart."""
    if len(labels) < 2:
        raise ValueError(f"{root}: expected at least two classes, a folder each; found {', '.join(labels) or 'none'}")


def _list_folder(root: Path) -> Listing:
    walk = _Walk(root)
    folders = _folders(root)
    notes = []
    if "train" in folders:
        parts: list[tuple[str, str | None]] = [(name, PARTS[name]) for name in folders if name in PARTS]
        if beside := [name for name in folders if name not in PARTS]:
            notes.append(f"not looked at, beside train: {', '.join(beside)}")
        classes = [(f"{folder}/{name}", name, part) for folder, part in parts for name in _folders(root / folder)]
    else:
        classes = [(name, name, None) for name in folders]
    entries = [
        Entry(path, size, unicodedata.normalize("NFC", name), part)
        for folder, name, part in classes
        for path, size in walk.pictures(folder)
    ]
    if walk.aside:
        notes.append(f"{walk.aside:,} files do not end like a picture and are left aside")
    labels = sorted({unicodedata.normalize("NFC", name) for _, name, _ in classes})
    return Listing(root, tuple(entries), tuple(labels), walk.lost, tuple(notes))


def list_unlabelled(root: Path) -> Listing:
    """All pictures below a folder, without a class; what the folders in it are called has no meaning.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: there is no such folder; give a folder of pictures without labels")
    walk = _Walk(root)
    entries = [Entry(path.removeprefix("./"), size, "", None) for path, size in walk.pictures(".")]
    return Listing(root, tuple(entries), (), walk.lost)


def _folders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith(".") and entry.is_dir())


class _Walk:
    """The pictures below a folder, sorted by path; what it meets besides is counted in ``aside`` and ``lost``."""

    def __init__(self, root: Path) -> None:
        self.root, self.aside, self.lost = root, 0, dict[str, str]()

    def pictures(self, folder: str) -> Iterator[tuple[str, int]]:
        """(path, bytes) of each."""
        return self._below(folder, ())

    def _below(self, folder: str, around: tuple[tuple[int, int], ...]) -> Iterator[tuple[str, int]]:
        here = (self.root / folder).stat()
        if (identity := (here.st_dev, here.st_ino)) in around:
            raise ValueError(f"{self.root / folder} is a link that leads back to a folder around it; remove the link")
        try:
            with os.scandir(self.root / folder) as found:
                inside = sorted(found, key=lambda entry: entry.name)
        except PermissionError:
            self.lost[folder] = "a folder that may not be read"
            return
        for entry in inside:
            path = f"{folder}/{entry.name}"
            if entry.name.startswith("."):
                continue
            try:
                facts = entry.stat()  # of what a link points to: one look-up for each file, which is all it takes
            except OSError as error:
                self.lost[path] = f"a link to nothing that can be read ({error.strerror})"
                continue
            if stat.S_ISDIR(facts.st_mode):
                yield from self._below(path, (*around, identity))
            elif Path(entry.name).suffix.lower() in SUFFIXES and stat.S_ISREG(facts.st_mode):
                yield path, facts.st_size
            else:
                self.aside += 1


def _list_table(table: Path, several: bool) -> Listing:
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file, delimiter=_TABLES[table.suffix.lower()]) if row]
    except UnicodeDecodeError as error:
        raise ValueError(f"{table} is not UTF-8 text: {error.reason} at byte {error.start}") from None
    header = [cell.strip().lower() for cell in rows[0]] if rows else []
    if "path" in header and "label" in header:
        rows, first = rows[1:], 2
    else:
        header, first = ["path", "label"], 1
    entries, labels, lost = [], set(), dict[str, str]()
    for number, row in enumerate(rows, first):
        if len(row) != len(header):
            raise ValueError(
                f"{table}, row {number}: expected {len(header)} cells ({', '.join(header)}), got {len(row)}: {row}"
            )
        cells = dict(zip(header, map(str.strip, row), strict=True))
        if not cells["path"] or not (cells["label"] or several):
            raise ValueError(
                f"{table}, row {number}: a path and a label are needed, got {row}; where a picture may have several "
                'classes or none, the task is "multilabel"; pictures without a label have a folder of their own, '
                "--unlabelled"
            )
        label, word = unicodedata.normalize("NFC", cells["label"]), cells.get("split", "").lower()
        if word and word not in PARTS:
            raise ValueError(f"{table}, row {number}: split is one of {', '.join(PARTS)}, or empty; got {word!r}")
        labels.add(label)
        try:
            facts = (table.parent / cells["path"]).stat()
        except OSError as error:
            lost[cells["path"]] = error.strerror or "there is no such file"
            continue
        except ValueError:
            lost[cells["path"]] = "no path: there is a NUL character in it"
            continue
        entries.append(Entry(cells["path"], facts.st_size, label, PARTS[word] if word else None))
    if len({entry.part is None for entry in entries}) > 1:
        raise ValueError(f"{table}: split is given for some rows and missing for others; give all or none")
    return Listing(table.parent, tuple(entries), tuple(sorted(labels)), lost)
