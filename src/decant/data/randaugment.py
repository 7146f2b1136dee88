"""RandAugment, drawn for every sample by itself: what makes a view a strong one."""

import math
from collections.abc import Callable
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from decant.data.counter import draw_below
from decant.data.settings import MAGNITUDES, RandAugmentSettings

UNSIGNED = ("identity", "autocontrast", "equalize", "posterize", "solarize")
"""Operations without a direction; they are the first changes."""
COLOURING = ("brightness", "color", "contrast", "sharpness")
MOVING = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")
CHANGES = (*UNSIGNED, *(f"{sign}{name}" for name in (*COLOURING, *MOVING) for sign in "+-"))
"""What one operation may do to an image, by number; one that has a direction is two of them."""


class RandAugment:
    r"""RandAugment on a batch: each image gets operations of its own.

    Each of ``operations`` steps picks one of 14 operations, all equally likely, and for those that have one a sign. How
    much it does is the same for all images: number ``magnitude`` of torchvision's 31 magnitudes, whose operations these
    are to the pixel (nearest neighbour, black outside). The steps of an image are one number,

        change_1 + 23 change_2 + 23^2 change_3 ...,    changes as in ``CHANGES``, 0 for none,

    hashed from (seed, epoch, index, view), so they are the same in any batch, order, process and device. What moves
    pixels is exact on a GPU too; colours may differ there by one of their 256 values.

    Source: Cubuk, Zoph, Shlens, Le, *RandAugment: Practical automated data augmentation with a reduced search space*,
    arXiv:1909.13719.

    Args:
        operations: steps per image.
        magnitude: 0 to 30.
        height: of the images, in pixels.
        width: of the images, in pixels.
        device: where the images will be.

    Raises:
        ValueError: a number out of range.

    Example:
        >>> strong = RandAugment(operations=2, magnitude=10, height=32, width=32)
        >>> strong.count
        529
        >>> numbers = strong.numbers(torch.arange(3), seed=0, epoch=0, view=1)
        >>> [strong.names(number) for number in numbers.tolist()]
        [['solarize', '-color'], ['+contrast', 'autocontrast'], ['+translate_y', 'autocontrast']]
        >>> strong(torch.zeros(3, 3, 32, 32, dtype=torch.uint8), numbers).shape
        torch.Size([3, 3, 32, 32])
    """

    def __init__(
        self, *, operations: int, magnitude: int, height: int, width: int, device: torch.device | str = "cpu"
    ) -> None:
        RandAugmentSettings(operations=operations, magnitude=magnitude)  # refuses what is out of range
        self.operations, self.magnitude = operations, magnitude
        self.height, self.width, self.device = height, width, device

    @property
    def count(self) -> int:
        """How many numbers there are."""
        return int(len(CHANGES) ** self.operations)

    def numbers(self, index: Tensor, *, seed: int, epoch: int, view: int) -> Tensor:
        """What each sample gets, 0 to ``count - 1``: int64, of the shape and on the device of ``index``."""
        number = torch.zeros_like(index)
        for step in reversed(range(self.operations)):
            operation, negative = (
                draw_below(bound, seed, name, epoch, view, step, index)
                for name, bound in (("change", len((*UNSIGNED, *COLOURING, *MOVING))), ("sign", 2))
            )
            plain = len(UNSIGNED)
            change = torch.where(operation < plain, operation, plain + 2 * (operation - plain) + negative)
            number = number * len(CHANGES) + change
        return number

    def names(self, number: int) -> list[str]:
        """The changes that a number stands for, in order."""
        return [CHANGES[number // len(CHANGES) ** step % len(CHANGES)] for step in range(self.operations)]

    def __call__(self, images: Tensor, numbers: Tensor) -> Tensor:
        """The images with the changes of these numbers: uint8 (N, 1 or 3, H, W) and integers (N,) -> the same shape.

        Raises:
            ValueError: images of another size, or with another number of channels.
        """
        if images.shape[1:] not in [(channels, self.height, self.width) for channels in (1, 3)]:
            raise ValueError(
                f"RandAugment was made for grey or RGB images (N, 1 or 3, {self.height}, {self.width}); "
                f"got {tuple(images.shape)}"
            )
        for _ in range(self.operations):
            images = self._step(images, numbers % len(CHANGES))
            numbers = numbers // len(CHANGES)
        return images

    def _step(self, images: Tensor, change: Tensor) -> Tensor:
        # Every pixel is fetched from where it comes from: one operation for all that moves, and for what stays.
        pixels = F.pad(images.flatten(2), (1, 0))
        source = self._sources[change].unsqueeze(1).expand(-1, images.shape[1], -1)
        images = pixels.gather(2, source).view_as(images)
        # The rest goes by the change. To know how many have which is the one time that a GPU is waited for.
        sizes = change.bincount(minlength=len(CHANGES)).tolist()
        _, *parts = change.argsort().split(sizes)  # without the ones that stay as they are
        for recolour, those in zip(self._recolourings, parts, strict=False):
            if len(those):
                images[those] = recolour(images[those])
        return images

    def _strength(self, most: float) -> float:
        # In float32 like torchvision's own table: its whole numbers and thresholds are cut from these.
        return float(torch.linspace(0.0, most, MAGNITUDES, dtype=torch.float32, device="cpu")[self.magnitude])

    @cached_property
    def _recolourings(self) -> list[Callable[[Tensor], Tensor]]:
        """The changes of ``CHANGES`` after the first, up to those that move."""
        from torchvision.transforms.v2 import functional as tv  # here: importing it is slow, and few methods need it

        bits = 8 - round(self.magnitude * 4 / (MAGNITUDES - 1))
        bound = 255 * float(torch.linspace(1.0, 0.0, MAGNITUDES, dtype=torch.float32, device="cpu")[self.magnitude])
        blend = self._strength(0.9)
        return [
            tv.autocontrast,
            tv.equalize,
            lambda images: tv.posterize(images, bits),
            lambda images: tv.solarize(images, bound),
            *(
                lambda images, adjust=adjust, factor=factor: adjust(images, factor)
                for adjust in (tv.adjust_brightness, tv.adjust_saturation, tv.adjust_contrast, tv.adjust_sharpness)
                for factor in (1.0 + blend, 1.0 - blend)
            ),
        ]

    @cached_property
    def _sources(self) -> Tensor:
        """Where each pixel comes from, by change, (changes, H W): 1 + its position in the image, or 0 for outside.

        Worked out on the CPU, by moving an image of positions: so a pixel halfway between two others comes from the
        same one on every device.
        """
        from torchvision.transforms.v2 import functional as tv

        shear = math.degrees(math.atan(self._strength(0.3)))
        across, down = (int(self._strength(150.0 / 331.0 * pixels)) for pixels in (self.width, self.height))
        angle = self._strength(30.0)
        positions = torch.arange(1, 1 + self.height * self.width, dtype=torch.float32, device="cpu")
        place = positions.view(1, 1, self.height, self.width)

        def moved(shift: tuple[int, int], sheared: tuple[float, float], center: list[float] | None = None) -> Tensor:
            image: Tensor = tv.affine(place, 0.0, list(shift), 1.0, list(sheared), center=center)
            return image

        places = [place] * (len(UNSIGNED) + 2 * len(COLOURING))
        places += [moved((0, 0), (sign * shear, 0.0), [0, 0]) for sign in (1, -1)]
        places += [moved((0, 0), (0.0, sign * shear), [0, 0]) for sign in (1, -1)]
        places += [moved((sign * across, 0), (0.0, 0.0)) for sign in (1, -1)]
        places += [moved((0, sign * down), (0.0, 0.0)) for sign in (1, -1)]
        places += [tv.rotate(place, sign * angle) for sign in (1, -1)]
        return torch.cat(places).flatten(1).long().to(self.device)
