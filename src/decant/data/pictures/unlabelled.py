"""Pictures without a label, put beside those that have one."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from decant.data.pictures.check import check, listed
from decant.data.pictures.listing import Entry, list_unlabelled
from decant.data.pictures.picture_set import PictureSet
from decant.data.pictures.store import Files
from decant.interfaces import UNLABELLED


def with_unlabelled(
    train: PictureSet,
    folder: Path,
    labelled: Sequence[Entry],
    *,
    cache: Path | None,
    say: Callable[[str], None],
) -> PictureSet:
    """The training set, and behind it the pictures of a folder as samples without a label.

    Args:
        train: what carries labels.
        folder: the pictures; what its subfolders are called has no meaning.
        labelled: all pictures that carry a label, also those that are tested on.
        cache: as for :func:`decant.data.load_pictures`.
        say: told what was found.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: the labelled ones are not files; no picture in it can be read, or one of them carries a label
            elsewhere: a test picture would be trained on.
    """
    if not isinstance(train.store, Files):
        raise ValueError(
            f"pictures without a label go with a folder or a table of pictures; those of {train.root} are inside of "
            "shards or tables: write them to files"
        )
    listing = list_unlabelled(folder)
    theirs = {os.path.realpath(train.root / entry.path): entry.path for entry in labelled}
    for entry in listing.entries:
        if (known := theirs.get(os.path.realpath(folder / entry.path))) is not None:
            raise ValueError(
                f"{folder / entry.path} is {known} of the pictures with labels, some of which are tested on: give a "
                "folder of pictures that carry none"
            )
    checked = check(listing, workers=train.workers, cache=cache, say=say)
    entries = [entry for entry in listing.entries if entry.path not in checked.unreadable]
    say(f"{folder}: {len(entries):,} pictures without a label, beside {train.size:,} with one to train on")
    if faults := listing.lost | checked.unreadable:
        say(f"  {len(faults):,} unreadable, left out:")
        for line in listed(faults):
            say(f"  {line}")
    if not entries:
        raise ValueError(f"{folder}: expected pictures without a label, found none that can be read")
    # A set has one root. Through links, ".." is the folder above what the link leads to, and so must the way be.
    way = os.path.relpath(folder.resolve(), train.root.resolve())
    files = np.array([os.fsencode(f"{way}/{entry.path}") for entry in entries])
    return replace(
        train,
        files=np.concatenate([train.files, files]),
        bytes=np.concatenate([train.bytes, np.array([entry.bytes for entry in entries], dtype=np.int64)]),
        target=torch.cat([train.target, train.target.new_full((len(entries),), UNLABELLED)]),
    )
