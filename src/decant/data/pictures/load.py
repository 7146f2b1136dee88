"""From a folder or table of pictures to its training, test and validation set."""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from decant.data.hidden_labels import with_hidden_labels
from decant.data.label_noise import with_label_noise
from decant.data.pictures.check import Checked, check, listed
from decant.data.pictures.find import find_pictures
from decant.data.pictures.listing import Entry, Listing
from decant.data.pictures.multilabel import labels_of, multi_hot, refuse_unfit
from decant.data.pictures.picture_set import PictureSet
from decant.data.pictures.unlabelled import with_unlabelled
from decant.data.settings import DataSettings
from decant.data.stratify import cut_training_set


@dataclass(frozen=True)
class PictureSplits:
    """Pictures in their parts, as `decant.data.Splits` has those of other data sets.

    Attributes:
        train: what is trained on.
        test: what a result is reported on.
        validation: what tuning is judged on; None where nothing is held out.
    """

    train: PictureSet
    test: PictureSet
    validation: PictureSet | None


def load_pictures(
    settings: DataSettings,
    root: Path | None,
    *,
    device: torch.device | str = "cpu",
    workers: int = 0,
    cache: Path | None = None,
    unlabelled: Path | None = None,
    several: bool = False,
    download: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> PictureSplits:
    """The pictures of a folder, a table or tar files that can be read, in parts.

    Where a test part is named, it is the test set; else the validation part is; else ``settings.pictures.test`` of each
    class is drawn by a hash of the pictures' paths, at least one and never all, so that a picture that is added or
    removed changes the part of hardly any other. A class of one picture is trained on and is not tested. Validation
    pictures are those of the folder where it names all three parts, else cut from the training part.

    Args:
        settings: how pictures become images, and how the training part is cut.
        root: the folder, the .csv, .tsv or .tar file, or ``hf:NAME``; see
            :func:`decant.data.pictures.find.find_pictures`.
        device: where batches will be.
        workers: processes that read pictures; 0 for this one. They change no batch.
        cache: folder where the check of the pictures keeps what it found; None keeps nothing.
        unlabelled: folder of pictures without a label; not looked at unless ``settings.unlabelled`` asks for them.
        several: whether a picture has any number of classes (``cat|dog`` in a table) rather than one. Targets are then
            (N, C), 1 where a picture has a class and 0 where not.
        download: whether what ``hf:NAME`` lacks on this machine may be fetched.
        say: told what was found, line by line.

    Raises:
        ValueError: no root; no folder of unlabelled pictures where they are asked for; fewer than two classes with a
            readable picture; a tested class that is not trained on; a class with too few pictures for ``validation`` or
            ``train_per_class``.
        FileNotFoundError: there is no such folder or table.
        ChildProcessError: a worker died.
    """
    if root is None:
        raise ValueError(
            "pictures are read from a folder: pass root, a folder of class folders or a .csv of path,label"
        )
    if settings.unlabelled and unlabelled is None:
        raise ValueError("data.unlabelled asks for pictures without a label: say where they are, --unlabelled FOLDER")
    listing = find_pictures(root, cache=cache, download=download, several=several)
    checked = check(listing, workers=workers, cache=cache, say=say)
    readable = [entry for entry in listing.entries if entry.path not in checked.unreadable]
    parts = _parts(readable, settings.pictures.test)
    of = labels_of if several else lambda entry: (entry.label,)
    classes = tuple(sorted({label for entry in parts["train"] for label in of(entry)}))
    if several:
        refuse_unfit(root, parts, classes)
    else:
        _refuse_unfit(root, parts, classes)
    for line in _findings(root, listing, checked, parts, classes, of):
        say(line)

    def made(part: str, name: str) -> PictureSet:
        target = (multi_hot if several else _indices)(parts[part], classes)
        return _picture_set(listing, parts[part], target, classes, f"{root.stem}/{name}", settings, workers).to(device)

    def finished(train: PictureSet) -> PictureSet:
        train = with_hidden_labels(with_label_noise(train, settings), settings)
        if not settings.unlabelled or unlabelled is None:
            return train
        return with_unlabelled(train, unlabelled, listing.entries, cache=cache, say=say)

    train, test = made("train", "train"), made("test", "test")
    if not parts["val"]:
        train, validation = cut_training_set(train, settings)
        return PictureSplits(finished(train), test, validation)
    train, _ = cut_training_set(train, replace(settings, validation=0.0))
    train = finished(train)
    if settings.validation == 0:  # the folder says which they are, a recipe whether they are used
        say("  the validation pictures are not used: data.validation above 0 asks for them")
        return PictureSplits(train, test, None)
    return PictureSplits(train, test, made("val", "validation"))


def _parts(entries: Sequence[Entry], share: float) -> dict[str, list[Entry]]:
    """The pictures by part: train, val and test."""
    named = {entry.part for entry in entries}
    parts: dict[str, list[Entry]] = {"train": [], "val": [], "test": []}
    if named <= {None, "train"}:
        tested = _drawn(entries, share)
        for entry in entries:
            parts["test" if entry.path in tested else "train"].append(entry)
    else:
        only = "val" if "test" in named else "test"
        for entry in entries:
            parts[only if entry.part == "val" else str(entry.part)].append(entry)
    return parts


def _drawn(entries: Sequence[Entry], share: float) -> set[str]:
    """Paths of the pictures of each class that are for testing."""
    by_class: dict[str, list[str]] = {}
    for entry in entries:
        by_class.setdefault(entry.label, []).append(entry.path)
    tested: set[str] = set()
    for paths in by_class.values():
        if (count := len(paths)) > 1:
            paths.sort(key=lambda path: (hashlib.sha256(os.fsencode(path)).digest(), path))
            tested.update(paths[: min(max(round(share * count), 1), count - 1)])
    return tested


def _refuse_unfit(root: Path, parts: dict[str, list[Entry]], classes: tuple[str, ...]) -> None:
    if len(classes) < 2:
        raise ValueError(
            f"{root}: expected two or more classes with readable pictures to train on, found {_some(classes) or 'none'}"
        )
    for part in ("test", "val"):
        if unknown := sorted({entry.label for entry in parts[part]} - set(classes)):
            raise ValueError(
                f"{root}: pictures to evaluate on have classes that none to train on has: {_some(unknown)}; the "
                "folders of both parts must have the same names (or give a table of path,label,split)"
            )
    if not parts["test"]:
        raise ValueError(f"{root}: no picture that can be read is left to test on")


def _findings(
    root: Path,
    listing: Listing,
    checked: Checked,
    parts: dict[str, list[Entry]],
    classes: tuple[str, ...],
    of: Callable[[Entry], tuple[str, ...]],
) -> list[str]:
    """What a person should know of these pictures, a line each."""
    counts = {part: Counter(label for entry in entries for label in of(entry)) for part, entries in parts.items()}
    shares = ", ".join(
        f"{len(parts[part]):,} {word}"
        for part, word in (("train", "to train on"), ("test", "to test on"), ("val", "for validation"))
        if parts[part]
    )
    fewest, most = min(counts["train"].values()), max(counts["train"].values())
    lines = [f"{root}: {len(classes)} classes, {shares}; {fewest:,} to {most:,} of a class to train on"]
    if checked.sides:
        low, middle, high = checked.sides
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in checked.kinds.items())
        lines.append(f"  shorter side {low} to {high} pixels, median {middle}; {kinds}")
    if faults := listing.lost | checked.unreadable:
        lines += [f"  {len(faults):,} unreadable, left out:", *(f"  {line}" for line in listed(faults))]
    named = {label for joined in listing.labels for label in of(Entry("", 0, joined, None))}
    if empty := sorted(named - set(classes)):
        lines.append(f"  without a picture to train on, left out: {_some(empty)}")
    if single := sorted(label for label in classes if counts["train"][label] == 1 and not counts["test"][label]):
        lines.append(f"  of one picture, trained on but not tested: {_some(single)}")
    elif untested := sorted(set(classes) - set(counts["test"])):
        lines.append(f"  without a picture to test on: {_some(untested)}")
    return lines + [f"  {note}" for note in listing.notes]


def _some(names: Sequence[str], shown: int = 10) -> str:
    more = f", and {len(names) - shown:,} more" if len(names) > shown else ""
    return ", ".join(map(repr, names[:shown])) + more


def _indices(entries: Sequence[Entry], classes: tuple[str, ...]) -> Tensor:
    number = {label: place for place, label in enumerate(classes)}
    return torch.tensor([number[entry.label] for entry in entries])


def _picture_set(
    listing: Listing,
    entries: Sequence[Entry],
    target: Tensor,
    classes: tuple[str, ...],
    name: str,
    settings: DataSettings,
    workers: int,
) -> PictureSet:
    return PictureSet(
        root=listing.root,
        files=np.array([os.fsencode(entry.path) for entry in entries]),
        bytes=np.array([entry.bytes for entry in entries], dtype=np.int64),
        target=target,
        classes=classes,
        name=name,
        settings=settings.pictures,
        workers=workers,
        store=listing.store,
    )
