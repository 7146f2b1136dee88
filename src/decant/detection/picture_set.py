"""Pictures with boxes around objects: what every reader of a format makes, and what training and evaluation take."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image as Pillow
from PIL import ImageOps, UnidentifiedImageError
from torch import Tensor
from torchvision.tv_tensors import BoundingBoxes, BoundingBoxFormat, Image


@dataclass(frozen=True, eq=False)
class Objects:
    """What one picture shows, as its file says it.

    Attributes:
        boxes: x, y, width, height in pixels (n, 4), float64.
        labels: class of each, from 1 on (n,), int64.
        crowd: whether a box holds many objects that nobody has told apart (n,), bool: not trained on, and no fault to
            find or to miss.
        area: of the object in pixels, which is less than its box where the file knows its outline (n,), float64.
    """

    boxes: Tensor
    labels: Tensor
    crowd: Tensor
    area: Tensor

    @classmethod
    def of(
        cls,
        boxes: Sequence[Sequence[float]],
        labels: Sequence[int],
        crowd: Sequence[bool] = (),
        area: Sequence[float] = (),
    ) -> "Objects":
        """From plain numbers; without ``crowd`` none is one, without ``area`` it is the box's."""
        made = torch.tensor(boxes, dtype=torch.float64).reshape(-1, 4)
        return cls(
            made,
            torch.tensor(labels, dtype=torch.int64),
            torch.tensor(crowd, dtype=torch.bool) if crowd else torch.zeros(len(made), dtype=torch.bool),
            torch.tensor(area, dtype=torch.float64) if area else made[:, 2] * made[:, 3],
        )


@dataclass(frozen=True, eq=False)
class PictureSet:
    """Pictures, on disk or in memory, and the objects in them.

    Indexing gives what ``torchvision.transforms.v2`` and its detectors take: the picture as a ``tv_tensors.Image`` of
    uint8, and a target of ``boxes`` (x1 y1 x2 y2, inside the picture) and ``labels``, without crowds and boxes that
    have no area. A picture without objects has an empty target.

    Attributes:
        name: what to call it in messages and records.
        classes: class names; the first one is label 1, because 0 is the background.
        pictures: a file, or uint8 (3, H, W), for each picture.
        sizes: height and width of each.
        objects: what each shows.

    Raises:
        ValueError: a label outside the classes, or lists of different lengths.
    """

    name: str
    classes: tuple[str, ...]
    pictures: tuple[Path | Tensor, ...]
    sizes: tuple[tuple[int, int], ...]
    objects: tuple[Objects, ...]

    def __post_init__(self) -> None:
        """Refuse what would fail in the middle of training."""
        if not len(self.pictures) == len(self.sizes) == len(self.objects):
            raise ValueError(
                f"{self.name}: {len(self.pictures)} pictures, {len(self.sizes)} sizes and objects of "
                f"{len(self.objects)}; there must be as many of each"
            )
        for index, objects in enumerate(self.objects):
            if strangers := sorted(set(objects.labels.tolist()) - set(range(1, len(self.classes) + 1))):
                raise ValueError(f"{self.name}: labels are 1 to {len(self.classes)}, picture {index} has {strangers}")

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.pictures)

    def __getitem__(self, index: int) -> tuple[Image, dict[str, Tensor]]:
        """Picture and target; see the class.

        Raises:
            ValueError: the file is no picture, or of another size than the annotations say.
        """
        height, width = self.sizes[index]
        objects = self.objects[index]
        boxes, kept = _usable(objects, height, width)
        target = {
            "boxes": BoundingBoxes(boxes[kept].float(), format=BoundingBoxFormat.XYXY, canvas_size=(height, width)),
            "labels": objects.labels[kept],
        }
        return Image(self._pixels(index)), target

    def with_objects(self) -> "PictureSet":
        """Only the pictures that show something to train on."""
        chosen = [
            index for index in range(len(self)) if bool(_usable(self.objects[index], *self.sizes[index])[1].any())
        ]
        return PictureSet(
            self.name,
            self.classes,
            tuple(self.pictures[index] for index in chosen),
            tuple(self.sizes[index] for index in chosen),
            tuple(self.objects[index] for index in chosen),
        )

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is peculiar about the set, counted, a sentence each."""
        crowds = outside = flat = empty = 0
        for objects, (height, width) in zip(self.objects, self.sizes, strict=True):
            boxes, kept = _usable(objects, height, width)
            crowds += int(objects.crowd.sum())
            flat += int((~kept & ~objects.crowd).sum())
            far = objects.boxes[:, :2] + objects.boxes[:, 2:]
            outside += int(
                ((far - boxes[:, 2:]).abs() > 1e-3).any(1).logical_or((objects.boxes[:, :2] < 0).any(1)).sum()
            )
            empty += not bool(kept.any())
        counts = {
            f"{crowds} boxes of crowds, which are not trained on": crowds,
            f"{outside} boxes reach outside their picture and are cut off in training": outside,
            f"{flat} boxes without area are left out of training": flat,
            f"{empty} of {len(self)} pictures show no object": empty,
        }
        return tuple(f"{self.name}: {sentence}" for sentence, count in counts.items() if count)

    def fingerprint(self) -> str:
        """Hex digest of names, sizes and objects; of pixels only where they are in memory."""
        digest = hashlib.sha256(repr((self.classes, self.sizes)).encode())
        for picture, objects in zip(self.pictures, self.objects, strict=True):
            digest.update(picture.numpy().tobytes() if isinstance(picture, Tensor) else picture.name.encode())
            digest.update(objects.boxes.numpy().tobytes() + objects.labels.numpy().tobytes())
        return digest.hexdigest()[:16]

    def _pixels(self, index: int) -> Tensor:
        picture = self.pictures[index]
        if isinstance(picture, Tensor):
            return picture
        pixels = read_picture(picture)
        if tuple(pixels.shape[1:]) != self.sizes[index]:
            (height, width), expected = pixels.shape[1:], self.sizes[index]
            raise ValueError(
                f"{picture} is {width} x {height} pixels, but its annotations are for {expected[1]} x {expected[0]}"
            )
        return pixels


def read_picture(path: Path) -> Tensor:
    """The pixels of a file, uint8 (3, H, W), turned the way the camera was held.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no picture.
    """
    try:
        with Pillow.open(path) as file:
            upright = ImageOps.exif_transpose(file).convert("RGB")
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no picture {path}") from None
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"{path} cannot be read as a picture: {error}") from None
    return torch.from_numpy(np.array(upright)).permute(2, 0, 1)


def require_pictures(pictures: Sequence[Path], where: str) -> None:
    """Raise FileNotFoundError where pictures that annotations speak of are missing."""
    if missing := [picture for picture in pictures if not picture.is_file()]:
        raise FileNotFoundError(
            f"{where}: {len(missing)} of {len(pictures)} pictures are not there, such as {missing[0]}"
        )


def _usable(objects: Objects, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Boxes x1 y1 x2 y2 cut off at the picture's border (n, 4), and which of them can be trained on (n,)."""
    corner, extent = objects.boxes.split(2, dim=1)
    border = torch.tensor([width, height], dtype=torch.float64)
    boxes = torch.cat([corner.clamp(min=0).minimum(border), (corner + extent).clamp(min=0).minimum(border)], dim=1)
    # In float32, as training has them: a sliver may vanish there.
    narrow = boxes.float()
    return boxes, (narrow[:, 2:] > narrow[:, :2]).all(1) & ~objects.crowd
