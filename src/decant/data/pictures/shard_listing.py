"""Which pictures a folder of tar files has, of which class and part."""

import re
import unicodedata
from collections.abc import Set
from pathlib import Path

from decant.data.pictures.listing import PARTS, Entry, Listing
from decant.data.pictures.shards import Shards, index_shard, place

CLASSES_FILE = "classes.txt"
"""A line for each class, in the order of the numbers that ``.cls`` files have."""


def holds_shards(root: Path) -> bool:
    """Whether this is a tar file, or a folder of them (below train, val or test or not) and of no class folders."""
    if root.suffix.lower() == ".tar" and root.is_file():
        return True
    if not root.is_dir():
        return False
    folders = [entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
    if any(name not in PARTS or any(inner.is_dir() for inner in (root / name).iterdir()) for name in folders):
        return False
    return bool(_shards(root))


def list_shards(root: Path, cache: Path | None = None) -> Listing:
    """The pictures of a folder of tar files, or of one.

    The part of a shard is the folder that it lies in, or the word train, val or test in its name
    (``imagenet-val-003.tar``). A class that is a number is named by that line of ``classes.txt`` beside the shards
    (from 0 on), where there is such a file.

    Args:
        root: the folder, or the file.
        cache: folder where what the headers say is kept.

    Raises:
        ValueError: a compressed shard; a part for some shards only; a number that ``classes.txt`` has no line for, or
            two numbers that it calls the same.
    """
    shards = [root] if root.is_file() else _shards(root)
    folder = root.parent if root.is_file() else root
    found: list[tuple[str, int, str, str | None]] = []
    lost: dict[str, str] = {}
    aside = 0
    for path in shards:
        shard, part = path.relative_to(folder).as_posix(), _part(path.relative_to(folder))
        index = index_shard(path, cache)
        aside += index.aside
        lost |= {f"{shard}:{name}" if name != path.name else shard: why for name, why in index.lost.items()}
        for name, offset, size, label in index.samples:
            if label is None:
                lost[f"{shard}:{name}"] = "no class: neither .cls nor .json with label, nor a folder"
            else:
                found.append((place(shard, name, offset, size), size, label, part))
    parts = {part for *_, part in found}
    if None in parts and len(parts) > 1:
        raise ValueError(f"{root}: some shards are of a part ({_words(parts)}) and others of none; name all or none")
    names = class_names({label for _, _, label, _ in found}, folder / CLASSES_FILE)
    entries = [Entry(path, size, names[label], part) for path, size, label, part in found]
    notes = [f"{len(shards):,} shards"]
    if aside:
        notes.append(f"{aside:,} members of shards are no pictures (or links, devices and the like) and are left aside")
    return Listing(folder, tuple(entries), tuple(sorted(set(names.values()))), lost, tuple(notes), Shards())


def _shards(folder: Path) -> list[Path]:
    places = [folder, *(folder / name for name in PARTS)]
    found = (path for place in places if place.is_dir() for path in place.iterdir())
    return sorted(path for path in found if path.suffix.lower() == ".tar" and path.is_file())


def _part(path: Path) -> str | None:
    words = [*path.parts[:-1], *re.split(r"[^a-z]+", path.stem.lower())]
    return next((PARTS[word] for word in words if word in PARTS), None)


def _words(parts: Set[str | None]) -> str:
    return ", ".join(sorted(part for part in parts if part is not None))


def class_names(labels: Set[str], file: Path | None) -> dict[str, str]:
    """What classes are called, by how the data calls them: numbers by their line in a file, or all as long.

    >>> class_names({"7", "10"}, None)["7"]
    '07'
    """
    if not all(label.isdecimal() and label.isascii() for label in labels):
        return {label: unicodedata.normalize("NFC", label) for label in labels}
    if file is None or not file.is_file():
        width = max((len(str(int(label))) for label in labels), default=1)
        return {label: str(int(label)).zfill(width) for label in labels}  # so that their order is that of the numbers
    lines = [unicodedata.normalize("NFC", line.strip()) for line in file.read_text(encoding="utf-8").splitlines()]
    if beyond := sorted(int(label) for label in labels if int(label) >= len(lines)):
        raise ValueError(f"{file} has {len(lines)} lines, but there is a class {beyond[0]}, which begins at 0")
    lines_of: dict[str, list[int]] = {}
    for number in sorted({int(label) for label in labels}):
        lines_of.setdefault(lines[number], []).append(number)
    if repeated := {name: numbers for name, numbers in lines_of.items() if len(numbers) > 1}:
        told = "; ".join(f"{name!r} is {' and '.join(map(str, numbers))}" for name, numbers in repeated.items())
        raise ValueError(
            f"{file} calls several classes the same, counted from 0: {told}; give each a name of its own, such as "
            "'crane (bird)' and 'crane (machine)'"
        )
    return {label: lines[int(label)] for label in labels}
