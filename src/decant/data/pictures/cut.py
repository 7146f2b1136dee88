"""What the networks see of a picture: a window of its own for every sample, epoch and view, or its centre."""

import math
from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from decant.data.counter import MAX_SEED, counter_hash
from decant.data.pictures.settings import Interpolation, PictureSettings
from decant.data.randaugment import RandAugment
from decant.data.views import Normalise

_TRIES = 10
"""Windows that are drawn before the largest central one is taken; the field's number."""
_STRONG_WINDOWS = 2**26
"""So many that none is met twice, and few enough to leave room for 23**8 changes in 63 bits."""
_DRAWS = 4 * _TRIES + 1
_RESAMPLING: dict[Interpolation, Image.Resampling] = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


class PictureViews:
    """Random windows of pictures, resized and mirrored or not: which one a sample gets is a function of counters.

    A view has a number, a hash of (seed, epoch, view, index), and all that is drawn for it is a hash of that number and
    the picture's size. So a sample's view is the same in any batch, order, process and worker, and nothing has a state.
    Unlike those of :class:`decant.data.Views`, the views of a picture are too many to be met twice.

    The number of a strong view (see :class:`decant.data.RandAugment`) is one of these times ``strong.count`` plus that
    of its changes.

    Args:
        settings: size, windows and normalisation.
        flip: whether views are mirrored with probability 1/2; the windows do not depend on it.
        seed: 0 to 2**63 - 1.
        strong: what makes a view a strong one; None where there are none.
        device: where batches will be.
        memory_format: of what :attr:`normalise` returns.

    Raises:
        ValueError: a seed out of range.

    Example:
        >>> views = PictureViews(PictureSettings(size=32), flip=True, seed=0)
        >>> index = torch.arange(3)
        >>> bool((views.view_ids(index, epoch=0)[1:] == views.view_ids(index[1:], epoch=0)).all())
        True
    """

    def __init__(
        self,
        settings: PictureSettings,
        *,
        flip: bool,
        seed: int,
        strong: RandAugment | None = None,
        device: torch.device | str = "cpu",
        memory_format: torch.memory_format = torch.contiguous_format,
    ) -> None:
        if not 0 <= seed <= MAX_SEED:
            raise ValueError(f"the seed of the views is 0 to 2**63 - 1; got {seed}")
        self.settings, self.flip, self.seed = settings, flip, seed
        self._strong = strong
        self.normalise = Normalise(settings.mean, settings.std, device=device, memory_format=memory_format)

    @property
    def strong(self) -> RandAugment:
        """What makes a view a strong one.

        Raises:
            ValueError: there is nothing that does.
        """
        if self._strong is None:
            raise ValueError("these views have no strong ones; make them with strong=RandAugment(...), or by views_of")
        return self._strong

    def view_ids(self, index: Tensor, epoch: int, view: int = 0, *, strong: bool = False) -> Tensor:
        """The number of the view that each sample gets: int64, 0 to 2**63 - 1, of the shape of ``index``."""
        number = counter_hash(self.seed, "picture", epoch, view, index) & MAX_SEED
        if not strong:
            return number
        if self.settings.sizes:
            raise ValueError(
                "strong views are made for one size of images: leave data.pictures.sizes out, or take a method (and "
                "data.all_strong = false) that has none"
            )
        changes = self.strong.numbers(index, seed=self.seed, epoch=epoch, view=view)
        return number % _STRONG_WINDOWS * self.strong.count + changes

    def finish(self, pixels: Tensor, view_ids: Tensor, *, strong: bool = False) -> Tensor:
        """Windows on the device, as networks see them: uint8 (N, 3, H, W) -> float32 of the same shape."""
        return self.normalise(self.strong(pixels, view_ids % self.strong.count) if strong else pixels)


def draws(view_ids: Tensor) -> list[list[float]]:
    """All that may be drawn for views of these numbers (N,): N lists of numbers, 0 to below 1, for :func:`view`."""
    words = counter_hash("window", view_ids.cpu().unsqueeze(1), torch.arange(_DRAWS, device="cpu"))
    # 32 bits each: floor(bound u) is then exact for every bound that a picture's side can be.
    listed: list[list[float]] = (((words >> 32) & (2**32 - 1)).to(torch.float64) / 2**32).tolist()
    return listed


def view(image: Image.Image, drawn: Sequence[float], settings: PictureSettings, *, flip: bool) -> Image.Image:
    """A window of the picture as ``settings.size`` squared, mirrored where ``flip`` is on and its draw says so."""
    left, top, width, height = window(image.width, image.height, drawn, settings)
    cut = image.crop((left, top, left + width, top + height))
    cut = cut.resize((settings.size, settings.size), _RESAMPLING[settings.interpolation])
    return cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flip and drawn[-1] < 0.5 else cut


def window(width: int, height: int, drawn: Sequence[float], settings: PictureSettings) -> tuple[int, int, int, int]:
    """Left, top, width and height of a random window.

    Its area is uniform in ``scale`` times the picture's, its width over height log-uniform in ``ratio``, its place
    uniform. Where ten draws give none that fits, it is the largest central one whose sides are within ``ratio``.
    """
    low, high = (math.log(ratio) for ratio in settings.ratio)
    for attempt in range(_TRIES):
        share, shape, across, down = drawn[4 * attempt : 4 * attempt + 4]
        area = width * height * (settings.scale[0] + share * (settings.scale[1] - settings.scale[0]))
        ratio = math.exp(low + shape * (high - low))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            return int(across * (width - w + 1)), int(down * (height - h + 1)), w, h
    w, h = width, height
    if width / height < settings.ratio[0]:
        h = min(height, max(1, round(width / settings.ratio[0])))
    elif width / height > settings.ratio[1]:
        w = min(width, max(1, round(height * settings.ratio[1])))
    return (width - w) // 2, (height - h) // 2, w, h


def centre(image: Image.Image, settings: PictureSettings) -> Image.Image:
    """The centre of the picture, ``settings.size`` squared, once its shorter side is ``settings.evaluation_resize``."""
    short, size = settings.evaluation_resize, settings.size
    if image.width <= image.height:
        width, height = short, int(short * image.height / image.width)
    else:
        width, height = int(short * image.width / image.height), short
    resized = image.resize((width, height), _RESAMPLING[settings.interpolation])
    left, top = round((width - size) / 2), round((height - size) / 2)
    return resized.crop((left, top, left + size, top + size))
