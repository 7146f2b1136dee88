"""A labelled set of images, whole, as one tensor on one device."""

import hashlib
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from decant.interfaces import UNLABELLED, DataFacts


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images with one class each. Labels are checked here, once, so that no training step needs to.

    Attributes:
        images: (N, channels, H, W), uint8.
        target: class index of each image, (N,), int64, on the images' device; ``UNLABELLED`` where it carries no label.
        classes: class names, by class index.
        mean: per channel, of pixels scaled to 0..1; what normalisation subtracts.
        std: per channel, of pixels scaled to 0..1; what normalisation divides by.
        name: what to call it in messages and records.

    Raises:
        TypeError: images that are not uint8, a target that is not int64.
        ValueError: shapes that do not fit each other, no image at all, a label outside the classes.

    Example:
        >>> images = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
        >>> ImageSet(images, torch.tensor([0, 1]), ("cat", "dog"), mean=(0.5,), std=(0.25,), name="pets").size
        2
    """

    images: Tensor
    target: Tensor
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    name: str

    def __post_init__(self) -> None:
        """Refuse what would fail later, or worse, would not."""
        if self.images.dtype != torch.uint8 or self.target.dtype != torch.int64:
            raise TypeError(
                f"{self.name}: images are uint8 and target is int64; got {self.images.dtype} and {self.target.dtype}"
            )
        if self.images.dim() != 4 or not self.images.numel():
            raise ValueError(f"{self.name}: images are (N, channels, H, W), none of them 0; got {self.shape}")
        if self.target.shape != self.images.shape[:1] or self.target.device != self.images.device:
            raise ValueError(
                f"{self.name}: one target for each of {self.size} images, on {self.images.device}; "
                f"got {tuple(self.target.shape)} on {self.target.device}"
            )
        channels = self.images.shape[1]
        if len(self.mean) != channels or len(self.std) != channels or not all(value > 0 for value in self.std):
            raise ValueError(
                f"{self.name}: mean and std have one number for each of {channels} channels, std above 0; "
                f"got mean {self.mean} and std {self.std}"
            )
        low, high = int(self.target.where(self.target != UNLABELLED, 0).min()), int(self.target.max())
        if low < 0 or high >= len(self.classes):
            raise ValueError(
                f"{self.name}: labels are 0 to {len(self.classes) - 1} for {len(self.classes)} classes; "
                f"got labels from {low} to {high}"
            )

    @property
    def size(self) -> int:
        """Number of images."""
        return len(self.images)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the images, (N, channels, H, W)."""
        return tuple(self.images.shape)

    @property
    def device(self) -> torch.device:
        """Where images and target are."""
        return self.images.device

    def facts(self) -> DataFacts:
        """What a method may know of this set."""
        return DataFacts(size=self.size, classes=self.classes, targets=self.target.cpu())

    def to(self, device: torch.device | str) -> "ImageSet":
        """The same set on ``device``."""
        return replace(self, images=self.images.to(device), target=self.target.to(device))

    def subset(self, index: Tensor, name: str) -> "ImageSet":
        """The images at positions ``index`` (M,), int64, in that order, as a set called ``name``."""
        return replace(self, images=self.images[index], target=self.target[index], name=name)

    def fingerprint(self) -> str:
        """SHA-256, in hex, of shape, pixels and labels: equal for equal data, whatever its name and device."""
        digest = hashlib.sha256(repr(self.shape).encode())
        digest.update(self.images.cpu().contiguous().numpy().data)
        digest.update(self.target.cpu().contiguous().numpy().astype("<i8").data)
        return digest.hexdigest()
