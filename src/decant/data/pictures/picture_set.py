"""A labelled set of pictures that stay in their files."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from decant.data.order import EpochOrder, require_rank
from decant.data.pictures.cut import PictureViews, centre, draws, view
from decant.data.pictures.decode import UnreadablePictureError, decode
from decant.data.pictures.settings import PictureSettings
from decant.data.pictures.store import Files, Store
from decant.data.pictures.workers import in_workers
from decant.data.views import Normalise
from decant.interfaces import Batch, DataFacts


@dataclass(frozen=True, eq=False)
class PictureSet:
    """Pictures with one class each, or none, read when a batch needs them.

    Attributes:
        root: what the files are below.
        files: their paths, (N,), as the file system's bytes: one block of memory that worker processes share.
        bytes: their sizes, (N,), int64.
        target: class index of each or ``UNLABELLED``, (N,), int64, on the device where batches will be; or (N, C), 1
            where a picture has a class and 0 where not, where it has any number of them.
        classes: class names, by class index.
        name: what to call it in messages and records.
        settings: how pictures become images.
        workers: processes that read and cut them; 0 for this one. It changes no batch.
        store: what the paths are paths in.
    """

    root: Path
    files: NDArray[np.bytes_]
    bytes: NDArray[np.int64]
    target: Tensor
    classes: tuple[str, ...]
    name: str
    settings: PictureSettings
    workers: int = 0
    store: Store = field(default_factory=Files)

    def __post_init__(self) -> None:
        """Refuse a set that no batch could be made of."""
        if not len(self.files) == len(self.bytes) == len(self.target) or not len(self.files):
            raise ValueError(
                f"{self.name}: a file, a size and a label for each picture, at least one; "
                f"got {len(self.files)}, {len(self.bytes)} and {len(self.target)}"
            )

    @property
    def size(self) -> int:
        """Number of pictures."""
        return len(self.files)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the images that batches are made of, (N, 3, H, W)."""
        return (self.size, 3, self.settings.size, self.settings.size)

    @property
    def mean(self) -> tuple[float, ...]:
        """What normalisation subtracts."""
        return self.settings.mean

    @property
    def std(self) -> tuple[float, ...]:
        """What normalisation divides by."""
        return self.settings.std

    @property
    def device(self) -> torch.device:
        """Where batches are."""
        return self.target.device

    def facts(self) -> DataFacts:
        """What a method may know of this set."""
        return DataFacts(size=self.size, classes=self.classes, targets=self.target.cpu())

    def to(self, device: torch.device | str) -> "PictureSet":
        """The same set with its batches on ``device``."""
        return replace(self, target=self.target.to(device))

    def subset(self, index: Tensor, name: str) -> "PictureSet":
        """The pictures at positions ``index`` (M,), int64, in that order, as a set called ``name``."""
        places = index.cpu().numpy()
        return replace(self, files=self.files[places], bytes=self.bytes[places], target=self.target[index], name=name)

    def fingerprint(self) -> str:
        """SHA-256, in hex, of paths below the root, sizes and labels, in order; the pixels are not read for it."""
        digest = hashlib.sha256(repr((self.size, self.classes)).encode("utf-8", "surrogateescape"))
        digest.update(b"\n".join(self.files.tolist()))
        digest.update(self.bytes.astype("<i8").tobytes())
        digest.update(self.target.cpu().numpy().astype("<i8").tobytes())  # also of (N, C): 0 and 1
        return digest.hexdigest()

    def path(self, index: int) -> Path:
        """The path of a picture below the root: its file's, where ``store`` is one of files."""
        return self.root / os.fsdecode(self.files[index])

    def where(self, index: int) -> str:
        """Where a picture is, for people."""
        return self.store.where(self.root, os.fsdecode(self.files[index]))

    def open(self, index: int) -> Path | BinaryIO:
        """What a picture is read from."""
        return self.store.open(self.root, os.fsdecode(self.files[index]))


def streamed_batches(pictures: PictureSet, views: PictureViews, order: EpochOrder, start: int) -> Iterator[Batch]:
    """The batches of an epoch from its ``start``-th on."""
    size = pictures.settings.training_size(order.epoch)
    seen = replace(pictures, settings=replace(pictures.settings, size=size, sizes=(), resize=None))
    jobs = _Cut(seen, order.index, order.view_ids, order.batch_size, views.flip)
    steps, weak = range(start, order.steps), len(order.view_ids) - order.strong_views
    for step, pixels in zip(steps, _streamed(jobs, steps), strict=True):
        part = order.part(step)
        index = order.index[part].to(pictures.device)
        numbers = tuple(ids[part].to(pictures.device) for ids in order.view_ids)
        images = tuple(
            views.finish(_on(one, pictures.device), ids, strong=place >= weak)
            for place, (one, ids) in enumerate(zip(pixels, numbers, strict=True))
        )
        yield Batch(images, pictures.target[index], index, order.epoch + step / order.steps, numbers)


def streamed_centres(
    pictures: PictureSet, batch_size: int, rank: int, world: int, memory_format: torch.memory_format
) -> Iterator[Batch]:
    """The centre of every picture, normalised, in order: for evaluation."""
    require_rank(rank, world)
    normalise = Normalise(pictures.mean, pictures.std, device=pictures.device, memory_format=memory_format)
    shard = torch.arange(pictures.size, device="cpu").tensor_split(world)[rank]
    jobs = _Cut(pictures, shard, (), batch_size, flip=False)
    steps = range(-(-len(shard) // batch_size))
    for step, pixels in zip(steps, _streamed(jobs, steps), strict=True):
        index = shard[step * batch_size : (step + 1) * batch_size].to(pictures.device)
        yield Batch((normalise(_on(pixels[0], pictures.device)),), pictures.target[index], index)


@dataclass(frozen=True)
class _Cut:
    """The pixels of a batch by its number: uint8 (N, 3, H, W) for each view, or of the centre where there is none.

    A picture is decoded once for all of its views.
    """

    pictures: PictureSet
    index: Tensor
    view_ids: tuple[Tensor, ...]
    batch_size: int
    flip: bool

    def __call__(self, number: int) -> tuple[Tensor, ...]:
        part = slice(number * self.batch_size, (number + 1) * self.batch_size)
        index, settings = self.index[part].tolist(), self.pictures.settings
        drawn = [draws(ids[part]) for ids in self.view_ids]
        shape = (len(index), settings.size, settings.size, 3)
        cut = [np.empty(shape, np.uint8) for _ in range(len(drawn) or 1)]
        for place, picture in enumerate(index):
            try:
                image = decode(self.pictures.open(picture)).image
            except (UnreadablePictureError, OSError) as error:
                raise UnreadablePictureError(
                    f"{self.pictures.where(picture)} could be read when it was checked, but not now: {error}"
                ) from error
            if not drawn:
                cut[0][place] = np.asarray(centre(image, settings))
            for pixels, numbers in zip(cut, drawn, strict=False):
                pixels[place] = np.asarray(view(image, numbers[place], settings, flip=self.flip))
        return tuple(torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))) for pixels in cut)


def _streamed(jobs: _Cut, steps: range) -> Iterator[tuple[Tensor, ...]]:
    pictures = jobs.pictures
    # A tensor on a GPU must not travel to the workers.
    jobs = replace(jobs, pictures=pictures.to("cpu"))
    return in_workers(jobs, steps, pictures.workers, pin=pictures.device.type == "cuda")


def _on(pixels: Tensor, device: torch.device) -> Tensor:
    return pixels.to(device, non_blocking=True)
