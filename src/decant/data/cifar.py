"""CIFAR-10 and CIFAR-100 in the layout of their published archives, read through torchvision."""

from pathlib import Path
from typing import Any, Literal
from urllib.error import URLError

import torch

from decant.data.image_set import ImageSet

CifarName = Literal["cifar10", "cifar100"]

NORMALISATION: dict[CifarName, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "cifar100": ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
}
"""Mean and std of all training pixels, as CIFAR papers use them."""


def load_cifar(name: CifarName, root: Path | None, download: bool) -> tuple[ImageSet, ImageSet]:
    """50,000 training and 10,000 test images of 32 x 32 colour pixels.

    Source: A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009.

    Args:
        name: "cifar10" or "cifar100" (its 100 fine classes).
        root: the folder that holds ``cifar-10-batches-py`` or ``cifar-100-python``.
        download: fetch the archive into ``root`` where files are missing or damaged.

    Raises:
        ValueError: no ``root``; a file that is not the published one.
        FileNotFoundError: files that are missing while ``download`` is off.
        OSError: a download that failed.
    """
    if root is None:
        raise ValueError(f"{name} is read from a folder: pass root, the folder that holds (or shall hold) its files")
    from torchvision import datasets  # here: importing it is slow, and only these data sets need it

    source = datasets.CIFAR10 if name == "cifar10" else datasets.CIFAR100
    if download:
        try:
            source(root=root, train=True, download=True)
        except URLError as error:
            raise OSError(f"{name}: {source.url} could not be downloaded to {root}: {error.reason}") from error
    _require_files(name, source, root)
    train, test = (source(root=root, train=train) for train in (True, False))
    return _image_set(name, "train", train), _image_set(name, "test", test)


def _require_files(name: str, source: Any, root: Path) -> None:
    """Say which files are wrong: torchvision only says that some are."""
    from torchvision.datasets.utils import check_integrity

    folder = root / source.base_folder
    md5 = {**dict(source.train_list), **dict(source.test_list), source.meta["filename"]: source.meta["md5"]}
    how = "Fetch them with download=True (on the command line --download)"
    missing = [file for file in md5 if not (folder / file).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{name}: looked in {folder.absolute()} and did not find {', '.join(missing)}. {how}, "
            f"or pass as root the folder that holds {source.base_folder}/"
        )
    # The files are pickles, which can run code when read: nothing but the published bytes is opened.
    damaged = [file for file, expected in md5.items() if not check_integrity(folder / file, expected)]
    if damaged:
        raise ValueError(
            f"{name}: not the published files, by their MD5: {', '.join(damaged)} in {folder.absolute()}. "
            f"{how} after moving these away"
        )


def _image_set(name: CifarName, part: str, source: Any) -> ImageSet:
    images = torch.from_numpy(source.data).permute(0, 3, 1, 2).contiguous()
    mean, std = NORMALISATION[name]
    return ImageSet(images, torch.tensor(source.targets), tuple(source.classes), mean, std, f"{name}/{part}")
