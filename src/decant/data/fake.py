"""Made-up images that a network can learn, of any size, for tests."""

import torch
import torch.nn.functional as F
from torch import Tensor

from decant.data.image_set import ImageSet
from decant.data.settings import DataSettings

MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
"""Close to what the pixels have; the same for every size."""


def load_fake(settings: DataSettings) -> tuple[ImageSet, ImageSet]:
    """``fake_train`` and ``fake_test`` colour images of ``fake_pixels`` squared, the same ones every time.

    Each class is a pattern of 4 x 4 coloured blocks. An image is the pattern of its class, mixed with up to 40% of
    another class's (so that the classes other than the target carry information), and noise of 10% of the range.
    """
    generator = torch.Generator(device="cpu").manual_seed(0)
    patterns = torch.rand(settings.fake_classes, 3, 4, 4, generator=generator)
    train, test = (
        _part(patterns, size, settings.fake_pixels, generator, f"fake/{name}")
        for name, size in (("train", settings.fake_train), ("test", settings.fake_test))
    )
    return train, test


def _part(patterns: Tensor, size: int, pixels: int, generator: torch.Generator, name: str) -> ImageSet:
    classes = len(patterns)
    target = torch.arange(size) % classes
    other = (target + torch.randint(1, classes, (size,), generator=generator)) % classes
    share = 0.4 * torch.rand(size, 1, 1, 1, generator=generator)
    blocks = (1 - share) * patterns[target] + share * patterns[other]
    images = F.interpolate(blocks, size=(pixels, pixels), mode="nearest")
    images = images + 0.1 * torch.randn(images.shape, generator=generator)
    images = (images * 255).round().clamp(0, 255).to(torch.uint8)
    return ImageSet(images, target, tuple(f"class {index}" for index in range(classes)), MEAN, STD, name)
