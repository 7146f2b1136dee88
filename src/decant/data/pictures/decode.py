"""A picture of any kind as 8-bit RGB, the way a person would see it."""

import warnings
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image, ImageOps

SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
"""Endings, in lower case, of the files that are taken for pictures."""

_ORIENTATION = 0x0112  # EXIF's tag


class UnreadablePictureError(ValueError):
    """A file that is no picture, a damaged one, or one whose pixels have no defined brightness."""


class Decoded(NamedTuple):
    """A picture, and what it was before: "RGB", "grey", "CMYK", "16-bit", "palette", "transparent" or another mode."""

    image: Image.Image
    kind: str


def decode(path: Path | BinaryIO) -> Decoded:
    """The picture of a file, or of bytes, as 8-bit RGB.

    Turned the way its EXIF data say; transparent parts over white; 16-bit grey scaled by 255 / 65535; grey, palette and
    CMYK as Pillow converts them (no colour profile is applied); the first of several frames.

    Raises:
        UnreadablePictureError: with the reason, whatever it was.
    """
    try:
        # Warnings are about metadata and sizes; what cannot be read raises.
        with warnings.catch_warnings(action="ignore"), Image.open(path) as opened:
            opened.load()
            kind = _kind(opened)
            turned = opened.getexif().get(_ORIENTATION, 1) != 1
            upright = ImageOps.exif_transpose(opened) if turned else opened
            return Decoded(as_rgb(upright), kind)
    except Exception as error:  # decoders raise whatever a damaged file leads them to
        reason = str(error).replace(str(path), "").replace("''", "the file").strip() or type(error).__name__
        raise UnreadablePictureError(reason) from error


def _kind(image: Image.Image) -> str:
    if image.mode.startswith("I"):
        return "16-bit"
    if image.has_transparency_data:
        return "transparent"
    return {"1": "grey", "L": "grey", "P": "palette"}.get(image.mode, image.mode)


def as_rgb(image: Image.Image) -> Image.Image:
    """An opened picture as 8-bit RGB, as :func:`decode` makes it, but for what its EXIF data say."""
    if image.mode.startswith("I"):
        return _from_sixteen_bits(image)
    if image.mode == "F":
        raise ValueError("floating-point pixels, whose range is not defined; save it with 8 or 16 bits")
    if image.has_transparency_data:
        over_white = Image.new("RGBA", image.size, "white")
        over_white.alpha_composite(image.convert("RGBA"))
        image = over_white
    return image.convert("RGB") if image.mode != "RGB" else image.copy()


def _from_sixteen_bits(image: Image.Image) -> Image.Image:
    # Pillow's own conversion cuts off at 255, which leaves a white picture.
    values = np.asarray(image).astype(np.int64)
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise ValueError(f"whole numbers from {low} to {high} as pixels; save it with 8 or 16 bits")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8)).convert("RGB")
