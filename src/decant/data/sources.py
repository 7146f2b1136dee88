"""The data sets by name, cut as the settings say and brought to the device."""

from dataclasses import dataclass
from pathlib import Path

import torch

from decant.data.cifar import load_cifar
from decant.data.digits import load_digits
from decant.data.fake import load_fake
from decant.data.hidden_labels import with_hidden_labels
from decant.data.image_set import ImageSet
from decant.data.label_noise import with_label_noise
from decant.data.settings import DatasetName, DataSettings
from decant.data.stratify import cut_training_set


@dataclass(frozen=True)
class DatasetFacts:
    """What there is to know about a data set before it is loaded.

    Attributes:
        description: one line.
        train: number of training images, before validation images are held out.
        test: number of test images.
        classes: number of classes.
        channels: number of colour channels.
        pixels: height and width.
    """

    description: str
    train: int
    test: int
    classes: int
    channels: int
    pixels: int


_FAKE = DataSettings(name="fake")

DATASETS: dict[DatasetName, DatasetFacts] = {
    "digits": DatasetFacts("scikit-learn's handwritten digits, real and embedded", 1197, 600, 10, 1, 8),
    "cifar10": DatasetFacts("CIFAR-10, photographs of ten kinds of things", 50_000, 10_000, 10, 3, 32),
    "cifar100": DatasetFacts("CIFAR-100, photographs of a hundred kinds of things", 50_000, 10_000, 100, 3, 32),
    "fake": DatasetFacts(
        "made-up patterns for tests, to any size (shown: the default)",
        *(_FAKE.fake_train, _FAKE.fake_test, _FAKE.fake_classes, 3, _FAKE.fake_pixels),
    ),
}
"""Every data set that `DataSettings.name` can be, but for `pictures`, which are the user's own."""


@dataclass(frozen=True)
class Splits:
    """A data set in its parts.

    Attributes:
        train: what is trained on.
        test: what a result is reported on; the same whatever the other settings are.
        validation: what tuning is judged on; None where nothing is held out.
    """

    train: ImageSet
    test: ImageSet
    validation: ImageSet | None


def load(
    settings: DataSettings, *, root: Path | None = None, device: torch.device | str = "cpu", download: bool = False
) -> Splits:
    """The data set of ``settings``, whole, on ``device``.

    Args:
        settings: which data set, and how its training images are cut.
        root: the folder where CIFAR lies; the other data sets need none.
        device: where the images will be; CIFAR takes 184 MB there.
        download: fetch missing files into ``root``. Never done unless asked for.

    Raises:
        ValueError: a class with too few images for ``validation`` or ``train_per_class``; CIFAR without ``root``, or
            with files that are not the published ones; ``pictures``, which `load_pictures` loads.
        FileNotFoundError: files that are missing while ``download`` is off.
        OSError: a download that failed.

    Example:
        >>> splits = load(DataSettings(name="digits", train_per_class=20))
        >>> splits.train.shape, splits.test.shape, splits.validation
        ((200, 1, 8, 8), (600, 1, 8, 8), None)
    """
    match settings.name:
        case "digits":
            train, test = load_digits()
        case "cifar10" | "cifar100":
            train, test = load_cifar(settings.name, root, download)
        case "fake":
            train, test = load_fake(settings)
        case "pictures":
            raise ValueError("pictures stay in their files: decant.data.load_pictures(settings, root) loads them")
    train, validation = cut_training_set(train, settings)
    train = with_hidden_labels(with_label_noise(train, settings), settings)
    return Splits(train.to(device), test.to(device), None if validation is None else validation.to(device))
