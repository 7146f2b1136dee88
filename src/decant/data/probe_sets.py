"""Other labelled images for a trained network: read whole and brought to the size and colours that it knows."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from decant.data.fake import load_fake
from decant.data.image_set import ImageSet
from decant.data.pictures.decode import decode
from decant.data.settings import DataSettings

TINY_IMAGENET = "tiny-imagenet-200"
STL10 = "stl10_binary"
PROBE_SETS = {"tiny-imagenet": TINY_IMAGENET, "stl10": STL10, "fake": ""}
"""Name -> the folder of the set, inside the folder of all data; none for the one that is made up."""
_AT_ONCE = 1000
_STL10_PIXELS = 96


def is_there(name: str, root: Path | None) -> bool:
    """Whether a set can be loaded from this folder."""
    return not PROBE_SETS[name] or (root is not None and (root / PROBE_SETS[name]).is_dir())


def load_probe_set(name: str, root: Path | None, *, like: ImageSet) -> tuple[ImageSet, ImageSet]:
    """Training and test images of a set, as a network sees them that was trained on ``like``.

    They get the size of its images (bilinear, with anti-aliasing), its number of channels (grey: the mean of three),
    its normalisation, and its device.

    Args:
        name: one of ``PROBE_SETS``.
        root: the folder in which the set's folder lies, in its published layout.
        like: images that the network knows.

    Raises:
        ValueError: there is no set of that name, or its files are not what they should be.
        FileNotFoundError: the set, or a part of it, is not there.
    """
    if name not in PROBE_SETS:
        raise ValueError(f"expected one of {', '.join(PROBE_SETS)}, got {name!r}")
    if not is_there(name, root):
        raise FileNotFoundError(f"{name}: there is no folder {PROBE_SETS[name]} in {root}; --data names the folder")
    match name:
        case "tiny-imagenet":
            assert root is not None
            parts = _tiny_imagenet(root / TINY_IMAGENET)
        case "stl10":
            assert root is not None
            parts = _stl10(root / STL10)
        case _:
            parts = load_fake(DataSettings(name="fake", fake_classes=6, fake_pixels=like.shape[2]))
    train, test = (_fitted(part, like) for part in parts)
    return train, test


def _fitted(images: ImageSet, like: ImageSet) -> ImageSet:
    _, channels, height, width = like.shape
    fitted = [_resized(part, channels, height, width) for part in images.images.split(_AT_ONCE)]
    return replace(images, images=torch.cat(fitted), mean=like.mean, std=like.std).to(like.device)


def _resized(images: Tensor, channels: int, height: int, width: int) -> Tensor:
    pixels = images.float()
    if channels == 1:
        pixels = pixels.mean(1, keepdim=True)
    if pixels.shape[2:] != (height, width):
        pixels = F.interpolate(pixels, (height, width), mode="bilinear", antialias=True)
    return pixels.round().clamp(0, 255).to(torch.uint8)


def _made(images: Tensor, target: Tensor, classes: tuple[str, ...], name: str) -> ImageSet:
    return ImageSet(images, target, classes, (0.5,) * 3, (0.25,) * 3, name)  # normalisation comes with the fit


def _tiny_imagenet(folder: Path) -> tuple[ImageSet, ImageSet]:
    """The training images of each class, and the published val part, whose labels are in a table beside it."""
    classes = tuple(sorted(entry.name for entry in (folder / "train").iterdir() if entry.is_dir()))
    places = {name: place for place, name in enumerate(classes)}
    train = [(path, places[name]) for name in classes for path in sorted((folder / "train" / name).rglob("*.JPEG"))]
    table = folder / "val" / "val_annotations.txt"
    rows = [line.split("\t") for line in table.read_text(encoding="utf-8").splitlines()]
    if unknown := sorted({row[1] for row in rows} - places.keys()):
        raise ValueError(f"{table}: classes that {folder / 'train'} does not have: {', '.join(unknown[:3])}")
    test = [(folder / "val" / "images" / row[0], places[row[1]]) for row in rows]
    return _read(train, classes, "tiny-imagenet/train"), _read(test, classes, "tiny-imagenet/val")


def _read(files: list[tuple[Path, int]], classes: tuple[str, ...], name: str) -> ImageSet:
    if not files:
        raise FileNotFoundError(f"{name}: there is no picture")
    pixels = np.stack([np.asarray(decode(path).image) for path, _ in files])
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()
    return _made(images, torch.tensor([label for _, label in files]), classes, name)


def _stl10(folder: Path) -> tuple[ImageSet, ImageSet]:
    """The labelled images: bytes of 3 x 96 x 96 each, every channel column by column; labels from 1."""
    classes = tuple((folder / "class_names.txt").read_text(encoding="utf-8").split())
    train, test = (_stl10_part(folder, part, classes) for part in ("train", "test"))
    return train, test


def _stl10_part(folder: Path, part: str, classes: tuple[str, ...]) -> ImageSet:
    pixels = np.fromfile(folder / f"{part}_X.bin", dtype=np.uint8)
    labels = np.fromfile(folder / f"{part}_y.bin", dtype=np.uint8)
    if not len(labels) or len(pixels) != len(labels) * 3 * _STL10_PIXELS**2:
        raise ValueError(
            f"{folder}: expected 3 x 96 x 96 bytes for each of {len(labels)} labels of {part}, got {len(pixels)} bytes"
        )
    images = torch.from_numpy(pixels).view(-1, 3, _STL10_PIXELS, _STL10_PIXELS).transpose(2, 3).contiguous()
    return _made(images, torch.from_numpy(labels).long() - 1, classes, f"stl10/{part}")
