"""What a trained network is shown of a picture: the same centre, to the bit, on which it was evaluated."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from decant.data.pictures.cut import centre
from decant.data.pictures.decode import as_rgb, decode
from decant.data.pictures.settings import Interpolation, PictureSettings
from decant.data.views import Normalise


@dataclass(frozen=True)
class Preprocess:
    """A picture of any kind and size to the image (channels, size, size), float32, that a network was evaluated on.

    The shorter side is resized to ``resize``, the centre of ``size`` squared is taken, and (x / 255 - mean) / std. A
    network of one channel is shown the picture in grey.

    Attributes:
        size: height and width of the image in pixels.
        resize: shorter side before the centre is taken, at least ``size``.
        mean: per channel, of pixels scaled to 0..1.
        std: likewise.
        interpolation: how pictures are resized.

    Raises:
        ValueError: sizes that no picture can serve, or means and stds for other than 1 or 3 channels.

    Example:
        >>> preprocess = Preprocess(size=8, resize=9, mean=(0.5,) * 3, std=(0.25,) * 3)
        >>> preprocess(Image.new("RGB", (20, 16), "white"))[:, 0, 0].tolist()
        [2.0, 2.0, 2.0]
    """

    size: int
    resize: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: Interpolation = "bilinear"

    def __post_init__(self) -> None:
        """Refuse what no picture can serve."""
        self._geometry()
        if not len(self.mean) == len(self.std) in (1, 3) or not all(value > 0 for value in self.std):
            raise ValueError(f"mean and std have 1 or 3 numbers each, std above 0; got {self.mean} and {self.std}")

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colour."""
        return len(self.mean)

    def _geometry(self) -> PictureSettings:
        return PictureSettings(size=self.size, resize=self.resize, interpolation=self.interpolation)

    def pixels(self, picture: Path | str | Image.Image) -> Tensor:
        """The image before it is normalised: uint8 (channels, size, size).

        Raises:
            UnreadablePictureError: a file that is no picture, with the reason.
        """
        image = as_rgb(picture) if isinstance(picture, Image.Image) else decode(Path(picture)).image
        seen = centre(image, self._geometry()).convert("L" if self.channels == 1 else "RGB")
        values = np.asarray(seen).reshape(self.size, self.size, self.channels)
        return torch.from_numpy(values.transpose(2, 0, 1).copy())

    def normalised(self, pixels: Tensor) -> Tensor:
        """Images (N, channels, size, size), uint8, as the network sees them: float32 of the same shape."""
        return Normalise(self.mean, self.std, device=pixels.device)(pixels)

    def __call__(self, picture: Path | str | Image.Image) -> Tensor:
        """The image of a file or of a Pillow image, (channels, size, size), float32.

        Raises:
            UnreadablePictureError: a file that is no picture, with the reason.
        """
        return self.normalised(self.pixels(picture)[None])[0]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, from which :func:`preprocess_from` makes the same again."""
        return {
            "size": [self.size, self.size],
            "resize": self.resize,
            "mean": list(self.mean),
            "std": list(self.std),
            "interpolation": self.interpolation,
        }


def preprocess_from(values: dict[str, Any]) -> Preprocess:
    """What ``to_dict`` told."""
    height, _ = values["size"]
    return Preprocess(height, values["resize"], tuple(values["mean"]), tuple(values["std"]), values["interpolation"])
