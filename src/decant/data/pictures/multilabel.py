"""Pictures of any number of classes each: what a table says of them, as 0 and 1 for every class."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from decant.data.pictures.listing import Entry

SEPARATOR = "|"
"""Between the classes of a picture, in a table's label."""


def labels_of(entry: Entry) -> tuple[str, ...]:
    """The classes of a picture, each once.

    >>> labels_of(Entry("a.png", 1, "cat| dog|cat", None)), labels_of(Entry("b.png", 1, "", None))
    (('cat', 'dog'), ())
    """
    return tuple(dict.fromkeys(name for part in entry.label.split(SEPARATOR) if (name := part.strip())))


def multi_hot(entries: Sequence[Entry], classes: Sequence[str]) -> Tensor:
    """(N, C), float32: 1 where a picture has a class, 0 where not."""
    number = {label: place for place, label in enumerate(classes)}
    target = torch.zeros(len(entries), len(classes))
    for row, entry in enumerate(entries):
        target[row, [number[label] for label in labels_of(entry)]] = 1.0
    return target


def refuse_unfit(root: Path, parts: Mapping[str, Sequence[Entry]], classes: Sequence[str]) -> None:
    """Raise ValueError for pictures that nothing can be learned or judged from."""
    if not classes:
        raise ValueError(f"{root}: expected pictures to train on that have a class, found none")
    for part in ("test", "val"):
        if unknown := sorted({label for entry in parts[part] for label in labels_of(entry)} - set(classes)):
            raise ValueError(
                f"{root}: pictures to evaluate on have classes that none to train on has: {', '.join(unknown[:10])}; "
                "name the parts in a column split"
            )
    if not parts["test"]:
        raise ValueError(f"{root}: no picture that can be read is left to test on")
