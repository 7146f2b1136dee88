"""Augmented views: which one a sample gets is a function of counters, and a whole batch is rendered at once."""

from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from decant.data.counter import MAX_SEED, draw_below
from decant.data.image_set import ImageSet
from decant.data.randaugment import RandAugment
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

    A strong view is one of these with changes of its own, see :class:`RandAugment`: its number is that of the view plus
    ``count`` times that of the changes.

    Args:
        mean: per channel, of pixels scaled to 0..1.
        std: per channel, of pixels scaled to 0..1.
        padding: border in pixels; 0 for no crop.
        flip: whether views are mirrored with probability 1/2.
        seed: 0 to 2**63 - 1.
        strong: what makes a view a strong one; None where there are none.
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
        strong: RandAugment | None = None,
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
        self._strong = strong
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
        height, width = image_set.shape[2:]
        pixels = min(height, width)
        if settings.padding >= pixels:
            raise ValueError(
                f"padding = {settings.padding} leaves views of {image_set.name} without any of its {pixels} pixels; "
                f"set it below {pixels}"
            )
        strong = RandAugment(
            operations=settings.strong.operations,
            magnitude=settings.strong.magnitude,
            height=height,
            width=width,
            device=image_set.device,
        )
        return cls(
            mean=image_set.mean,
            std=image_set.std,
            padding=settings.padding,
            flip=settings.flip,
            seed=seed if settings.view_seed is None else settings.view_seed,
            strong=strong,
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
        """How many different views an image has, strong ones apart."""
        return self._side**2 * self._flips

    @property
    def strong(self) -> RandAugment:
        """What makes a view a strong one.

        Raises:
            ValueError: there is nothing that does.
        """
        if self._strong is None:
            raise ValueError("these views have no strong ones; make them with strong=RandAugment(...), or by Views.of")
        return self._strong

    def view_ids(self, index: Tensor, epoch: int, view: int = 0, *, strong: bool = False) -> Tensor:
        """The number of the view that each sample gets, all equally likely: 0 to ``count - 1`` where it is not strong.

        Args:
            index: positions of the samples in their data set, int64, any shape.
            epoch: the whole number of epochs completed before this one.
            view: which of a sample's views in this epoch, from 0.
            strong: whether it is a strong one.

        Returns:
            int64, of the shape and on the device of ``index``.

        Raises:
            TypeError: an index that is not int64; an epoch or a view that is not whole.
            ValueError: a negative epoch or view; a strong view where there is none.
        """
        if index.dtype != torch.int64:
            raise TypeError(f"index is int64; got {index.dtype}")
        for name, value in (("epoch", epoch), ("view", view)):
            if not isinstance(value, int):
                raise TypeError(f"{name} is a whole number; got {value!r}")
            if value < 0:
                raise ValueError(f"{name} is at least 0; got {value}")
        row, column, mirrored = (
            draw_below(bound, self.seed, name, epoch, view, index)
            for name, bound in (("row", self._side), ("column", self._side), ("flip", self._flips))
        )
        number = (row * self._side + column) * self._flips + mirrored
        if not strong:
            return number
        return number + self.count * self.strong.numbers(index, seed=self.seed, epoch=epoch, view=view)

    def render(self, images: Tensor, view_ids: Tensor, *, strong: bool = False) -> Tensor:
        """The views of these numbers: uint8 (N, channels, H, W) and integers (N,) -> float32 (N, channels, H, W).

        Args:
            images: the samples.
            view_ids: the number of a view for each, as `view_ids` gives them.
            strong: whether the numbers are those of strong views.

        Raises:
            ValueError: not one number per image; on the CPU, a number outside its range (a GPU is not made to wait for
                this check); strong views where there are none, or of images that they are not defined for.
        """
        if view_ids.shape != images.shape[:1]:
            raise ValueError(f"one view number for each of {len(images)} images; got shape {tuple(view_ids.shape)}")
        count = self.count * (self.strong.count if strong else 1)
        if view_ids.device.type == "cpu" and len(view_ids):
            low, high = int(view_ids.min()), int(view_ids.max())
            if low < 0 or high >= count:
                raise ValueError(f"view numbers are 0 to {count - 1}; got {low} to {high}")
        number = view_ids.to(torch.int64)
        if not strong:
            return self.normalise(self._crop(images, number))
        return self.normalise(self.strong(self._crop(images, number % self.count), number // self.count))

    def _crop(self, images: Tensor, number: Tensor) -> Tensor:
        if self.count == 1:
            return images
        place, mirrored = number // self._flips, number % self._flips
        row, column = place // self._side, place % self._side
        height, width = images.shape[2:]
        padded = F.pad(images, (self.padding,) * 4)
        # Both orientations of every image, and every window of both, without a copy: (N, flips, channels, row, column,
        # H, W). What is copied is the one window of each image.
        both = torch.stack((padded, padded.flip(3)), 1) if self.flip else padded.unsqueeze(1)
        windows = both.unfold(3, height, 1).unfold(4, width, 1)
        sample = torch.arange(len(images), device=images.device)
        return windows[sample, mirrored, :, row, column]

    def plain(self, images: Tensor) -> Tensor:
        """The images themselves, normalised: uint8 (N, channels, H, W) -> float32 of the same shape."""
        return self.normalise(images)

    def __call__(self, images: Tensor, index: Tensor, epoch: int, *, view: int = 0, strong: bool = False) -> Tensor:
        """The views that these samples get: what `render` makes of their `view_ids`."""
        return self.render(images, self.view_ids(index, epoch, view, strong=strong), strong=strong)
