"""Tables of a few entries, and a teacher that costs nothing and counts how often it is run."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from decant.data import EpochOrder, ImageSet, Views, epoch_order
from decant.engine.table_key import TableKey
from decant.engine.tabled_teacher import TabledTeacher
from decant.engine.teacher_table import TeacherTable
from engine.tiny import CLASSES, DATA, splits

SAMPLES, VIEWS = 10, 6
"""Of a table without images."""


def key(**changes: Any) -> TableKey:
    values: dict[str, Any] = {
        "teacher": "toy",
        "sha256": "c0ffee",
        "folded": 2,
        "data": "feed",
        "samples": SAMPLES,
        "image": (3, 8, 8),
        "padding": 1,
        "flip": True,
        "mean": (0.5,),
        "std": (0.25,),
        "views": VIEWS,
        "classes": CLASSES,
        "type": "fp32",
        "precision": "fp32",
        "channels_last": True,
        "rows": 8,
    }
    return TableKey(**(values | changes))


def logits(rows: int, seed: int = 0) -> Tensor:
    return 5 * torch.randn(rows, CLASSES, generator=torch.Generator().manual_seed(seed))


class Counting:
    """A network behind a forward pass that remembers the batch sizes it was given."""

    def __init__(self) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(4)
            convolution = nn.Conv2d(3, 8, 3, padding=1)
            self.network = nn.Sequential(convolution, nn.ReLU(), nn.Flatten(), nn.Linear(512, CLASSES)).eval()
        self.rows: list[int] = []

    def __call__(self, images: Tensor) -> Tensor:
        self.rows.append(len(images))
        with torch.no_grad():
            answer: Tensor = self.network(images)
        return answer


def images() -> ImageSet:
    return splits().train


def views(seed: int = 0) -> Views:
    return Views.of(DATA, images(), seed=seed)


def order(epoch: int = 0, seed: int = 0, *, batch_size: int = 10, views_per_sample: int = 1) -> EpochOrder:
    """An epoch of 64 samples."""
    return epoch_order(
        images().size, views(), epoch=epoch, seed=seed, batch_size=batch_size, views_per_sample=views_per_sample
    )


def table(folder: Path, **changes: Any) -> TeacherTable:
    """The table of ``images()`` in ``views()``; the key's values may be changed."""
    return TeacherTable(folder, key(**{"samples": images().size, "views": views().count, **changes}))


def tabled(open_table: TeacherTable, forward: Counting | None = None) -> TabledTeacher:
    return TabledTeacher(open_table, forward or Counting(), images(), views())
