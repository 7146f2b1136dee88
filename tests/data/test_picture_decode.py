"""Pictures of every kind become the RGB that a person would see, and what cannot be read says why."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.made_pictures import save
from decant.data.pictures.decode import UnreadablePictureError, decode


def pixels(path: Path) -> np.ndarray:
    image = decode(path).image
    assert image.mode == "RGB"
    return np.asarray(image)


def test_rgb_is_as_it_is(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", seed=0)
    assert np.array_equal(pixels(path), np.asarray(Image.open(path)))
    assert decode(path).kind == "RGB"


@pytest.mark.parametrize(
    ("mode", "suffix", "kind"),
    [
        ("L", "png", "grey"),
        ("1", "png", "grey"),
        ("P", "png", "palette"),
        ("CMYK", "jpg", "CMYK"),
        ("L", "jpg", "grey"),
    ],
)
def test_other_modes(tmp_path: Path, mode: str, suffix: str, kind: str) -> None:
    path = save(tmp_path / f"a.{suffix}", seed=0, mode=mode)
    assert np.array_equal(pixels(path), np.asarray(Image.open(path).convert("RGB")))
    assert decode(path).kind == kind


def test_cmyk_is_not_inverted(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), (250, 20, 10)).convert("CMYK").save(tmp_path / "red.jpg", quality=95)
    assert np.abs(pixels(tmp_path / "red.jpg").astype(int) - [250, 20, 10]).max() < 20


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_scaled_and_not_cut_off(tmp_path: Path, suffix: str) -> None:
    grey = np.array([[0, 257 * 7, 65535], [128, 129, 257 * 200 + 100]], dtype=np.uint16)
    Image.fromarray(grey).save(tmp_path / f"a.{suffix}")
    assert pixels(tmp_path / f"a.{suffix}")[..., 0].tolist() == [[0, 7, 255], [0, 1, 200]]
    assert decode(tmp_path / f"a.{suffix}").kind == "16-bit"


def test_sixteen_bits_a_channel(tmp_path: Path) -> None:
    row = b"\0" + struct.pack(">6H", 65535, 257 * 3, 0, 257 * 9, 65535, 257)

    def chunk(name: bytes, content: bytes) -> bytes:
        body = name + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(data)
    assert pixels(tmp_path / "a.png").tolist() == [[[255, 3, 0], [9, 255, 1]]]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_parts_are_white_whatever_colour_hides_there(tmp_path: Path, mode: str) -> None:
    image = Image.new("RGBA", (2, 1), (200, 200, 200, 255))
    image.putpixel((1, 0), (10, 10, 10, 0))
    image.convert(mode).save(tmp_path / "a.png")
    assert pixels(tmp_path / "a.png").tolist() == [[[200] * 3, [255] * 3]]
    assert decode(tmp_path / "a.png").kind == "transparent"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_as_their_camera_says(tmp_path: Path, orientation: int) -> None:
    upright = np.asarray(Image.open(save(tmp_path / "a.png", seed=3, size=(6, 4))))
    # How each orientation lies in the file, by the EXIF standard.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright.transpose(1, 0, 2)[::-1, ::-1],
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(pixels(tmp_path / "turned.png"), upright)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"no picture", "cannot identify image file"), (b"", "cannot identify image file"), (None, "No such file")],
)
def test_no_picture(tmp_path: Path, content: bytes | None, reason: str) -> None:
    if content is not None:
        (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(UnreadablePictureError, match=reason) as error:
        decode(tmp_path / "a.jpg")
    assert str(tmp_path) not in str(error.value), "whoever lists the fault names the file"


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif"])
def test_a_picture_that_was_cut_short(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"a.{suffix}", seed=0, size=(200, 200))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UnreadablePictureError):
        decode(path)


def test_pixels_without_a_range(tmp_path: Path) -> None:
    Image.fromarray(np.ones((2, 2), dtype=np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(UnreadablePictureError, match="floating-point pixels"):
        decode(tmp_path / "a.tif")
    Image.fromarray(np.full((2, 2), 70_000, dtype=np.int32)).save(tmp_path / "b.tif")
    with pytest.raises(UnreadablePictureError, match="from 70000 to 70000 as pixels"):
        decode(tmp_path / "b.tif")
