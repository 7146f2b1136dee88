"""Augmented views: which one a sample gets is a function of counters, and a whole batch is rendered at once."""

from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from decant.data.counter import MAX_SEED, draw_below
from decant.data.image_set import ImageSet
from decant.data.settings import DataSettings


class Normalise:
    """(x / 255 - mean) / std per channel: uint8 (N, channels, H, W) -> float32 of the same shape."""

    def __init__(
        self,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        *,
        device: torch.device | str = "cpu",
        memory_format: torch.memory_format = torch.contiguous_format,
    ) -> None:
        # In units of the uint8 pixel: one subtraction and one product, each rounded by itself, are the same bits on
        # every device, where a fused multiply-add would not be.
        self.centre = torch.tensor([255 * m for m in mean], dtype=torch.float32, device=device).view(-1, 1, 1)
        self.factor = torch.tensor([1 / (255 * s) for s in std], dtype=torch.float32, device=device).view(-1, 1, 1)
        self.memory_format = memory_format

    def __call__(self, images: Tensor) -> Tensor:
        """The normalised images."""
        if images.dtype != torch.uint8 or images.dim() != 4 or images.shape[1] != len(self.centre):
            raise ValueError(
                f"images are uint8 (N, {len(self.centre)}, H, W); got {images.dtype} {tuple(images.shape)}"
            )
        pixels = images.to(torch.float32).sub_(self.centre).mul_(self.factor)
        return pixels.contiguous(memory_format=self.memory_format)


class Views:
    """Random crops after black padding, mirrored or not, and normalised.

    An image has ``count`` = (2 padding + 1)^2 views, twice that with ``flip``. View number

        (row (2 padding + 1) + column) flips + mirrored,    flips = 2 with ``flip``, else 1,

    is the image, mirrored or not, seen through a window of its own size with its corner at (row, column) of the padded
    image. Which view a sample gets is hashed from (seed, epoch, index, view): no state, so the view of sample i in
    epoch e is the same in any batch, order, process and device. The crops do not depend on whether ``flip`` is on.

    Args:
        mean: per channel, of pixels scaled to 0..1.
        std: per channel, of pixels scaled to 0..1.
        padding: border in pixels; 0 for no crop.
        flip: whether views are mirrored with probability 1/2.
        seed: 0 to 2**63 - 1.
        device: where the images will be.
        memory_format: of what is returned; torch.channels_last for networks that run so.

    Raises:
        ValueError: a seed out of range, a negative padding.

    Example:
        >>> views = Views(mean=(0.0,), std=(1.0,), padding=4, flip=True, seed=0)
        >>> views.count
        162
        >>> index = torch.arange(3)
        >>> images = torch.full((3, 1, 32, 32), 255, dtype=torch.uint8)
        >>> views(images, index, epoch=0).shape
        torch.Size([3, 1, 32, 32])
        >>> bool((views.view_ids(index, epoch=0)[1:] == views.view_ids(index[1:], epoch=0)).all())
        True
    """

    def __init__(
        self,
        *,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        padding: int,
        flip: bool,
        seed: int,
        device: torch.device | str = "cpu",
        memory_format: torch.memory_format = torch.contiguous_format,
    ) -> None:
        if not 0 <= seed <= MAX_SEED:
            raise ValueError(f"the seed of the views is 0 to 2**63 - 1; got {seed}")
        if padding < 0:
            raise ValueError(f"padding is at least 0 pixels; got {padding}")
        self.padding = padding
        self.flip = flip
        self.seed = seed
        self.normalise = Normalise(mean, std, device=device, memory_format=memory_format)

    @classmethod
    def of(
        cls,
        settings: DataSettings,
        image_set: ImageSet,
        *,
        seed: int,
        memory_format: torch.memory_format = torch.contiguous_format,
    ) -> Self:
        """The views of ``image_set`` under ``settings``; ``seed``, the run's, serves where ``view_seed`` is None.

        Raises:
            ValueError: a padding as large as the images, which would make views without a pixel of them.
        """
        pixels = min(image_set.shape[2:])
        if settings.padding >= pixels:
            raise ValueError(
                f"padding = {settings.padding} leaves views of {image_set.name} without any of its {pixels} pixels; "
                f"set it below {pixels}"
            )
        return cls(
            mean=image_set.mean,
            std=image_set.std,
            padding=settings.padding,
            flip=settings.flip,
            seed=seed if settings.view_seed is None else settings.view_seed,
            device=image_set.device,
            memory_format=memory_format,
        )

    @property
    def _side(self) -> int:
        return 2 * self.padding + 1

    @property
    def _flips(self) -> int:
        return 2 if self.flip else 1

    @property
    def count(self) -> int:
        """How many different views an image has."""
        return self._side**2 * self._flips

    def view_ids(self, index: Tensor, epoch: int, view: int = 0) -> Tensor:
        """The number of the view that each sample gets, 0 to ``count - 1``, all equally likely.

        Args:
            index: positions of the samples in their data set, int64, any shape.
            epoch: the whole number of epochs completed before this one.
            view: which of a sample's views in this epoch, from 0.

        Returns:
            int64, of the shape and on the device of ``index``.

        Raises:
            TypeError: an index that is not int64; an epoch or a view that is not whole.
            ValueError: a negative epoch or view.
        """
        if index.dtype != torch.int64:
            raise TypeError(f"index is int64; got {index.dtype}")
        for name, number in (("epoch", epoch), ("view", view)):
            if not isinstance(number, int):
                raise TypeError(f"{name} is a whole number; got {number!r}")
            if number < 0:
                raise ValueError(f"{name} is at least 0; got {number}")
        row, column, mirrored = (
            draw_below(bound, self.seed, name, epoch, view, index)
            for name, bound in (("row", self._side), ("column", self._side), ("flip", self._flips))
        )
        return (row * self._side + column) * self._flips + mirrored

    def render(self, images: Tensor, view_ids: Tensor) -> Tensor:
        """The views of these numbers: uint8 (N, channels, H, W) and integers (N,) -> float32 (N, channels, H, W).

        Raises:
            ValueError: not one number per image; on the CPU, a number outside 0 to ``count - 1`` (a GPU is not made to
                wait for this check).
        """
        if view_ids.shape != images.shape[:1]:
            raise ValueError(f"one view number for each of {len(images)} images; got shape {tuple(view_ids.shape)}")
        if view_ids.device.type == "cpu" and len(view_ids):
            low, high = int(view_ids.min()), int(view_ids.max())
            if low < 0 or high >= self.count:
                raise ValueError(f"view numbers are 0 to {self.count - 1}; got {low} to {high}")
        if self.count == 1:
            return self.plain(images)
        number = view_ids.to(torch.int64)
        place, mirrored = number // self._flips, number % self._flips
        row, column = place // self._side, place % self._side
        height, width = images.shape[2:]
        padded = F.pad(images, (self.padding,) * 4)
        # Both orientations of every image, and every window of both, without a copy: (N, flips, channels, row, column,
        # H, W). What is copied is the one window of each image.
        both = torch.stack((padded, padded.flip(3)), 1) if self.flip else padded.unsqueeze(1)
        windows = both.unfold(3, height, 1).unfold(4, width, 1)
        sample = torch.arange(len(images), device=images.device)
        return self.normalise(windows[sample, mirrored, :, row, column])

    def plain(self, images: Tensor) -> Tensor:
        """The images themselves, normalised: uint8 (N, channels, H, W) -> float32 of the same shape."""
        return self.normalise(images)

    def __call__(self, images: Tensor, index: Tensor, epoch: int, *, view: int = 0) -> Tensor:
        """The views that these samples get: ``render(images, view_ids(index, epoch, view))``."""
        return self.render(images, self.view_ids(index, epoch, view))
