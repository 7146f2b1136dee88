"""Other images for a trained network, in their published layouts, as the network knows images."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from decant.data import ImageSet
from decant.data.probe_sets import is_there, load_probe_set

COLOURS = {"n01": (200, 30, 10), "n02": (10, 60, 220)}


def known(channels: int = 3, pixels: int = 8) -> ImageSet:
    """What the network was trained on."""
    images = torch.zeros(2, channels, pixels, pixels, dtype=torch.uint8)
    mean, std = (0.1,) * channels, (0.3,) * channels
    return ImageSet(images, torch.tensor([0, 1]), ("a", "b"), mean, std, "known")


def tiny_imagenet(root: Path) -> Path:
    """Three training and two test pictures of each of two classes, each of one colour."""
    folder = root / "tiny-imagenet-200"
    for name, colour in COLOURS.items():
        (folder / "train" / name / "images").mkdir(parents=True)
        for place in range(3):
            Image.new("RGB", (64, 64), colour).save(
                folder / "train" / name / "images" / f"{name}_{place}.JPEG", quality=100
            )
    (folder / "val" / "images").mkdir(parents=True)
    rows = []
    for place, name in enumerate(("n02", "n01", "n02", "n01")):
        Image.new("RGB", (64, 64), COLOURS[name]).save(folder / "val" / "images" / f"val_{place}.JPEG", quality=100)
        rows.append(f"val_{place}.JPEG\t{name}\t0\t0\t63\t63")
    (folder / "val" / "val_annotations.txt").write_text("\n".join(rows) + "\n")
    return root


def stl10(root: Path, images: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]") -> Path:
    """Images (N, 3, 96, 96) with labels 1, 2, 1, ... in both parts, as the published files hold them."""
    folder = root / "stl10_binary"
    folder.mkdir()
    (folder / "class_names.txt").write_text("airplane\nbird\n")
    for part in ("train", "test"):
        images.transpose(0, 1, 3, 2).tofile(folder / f"{part}_X.bin")
        (1 + np.arange(len(images)) % 2).astype(np.uint8).tofile(folder / f"{part}_y.bin")
    return root


def test_tiny_imagenet_has_the_labels_of_its_table(tmp_path: Path) -> None:
    train, test = load_probe_set("tiny-imagenet", tiny_imagenet(tmp_path), like=known())
    assert train.classes == ("n01", "n02")
    assert (train.shape, test.shape) == ((6, 3, 8, 8), (4, 3, 8, 8))
    assert test.target.tolist() == [1, 0, 1, 0]
    for part in (train, test):
        assert (part.mean, part.std) == (known().mean, known().std)
        for image, label in zip(part.images, part.target.tolist(), strict=True):
            expected = torch.tensor(list(COLOURS.values())[label], dtype=torch.float32)
            torch.testing.assert_close(image.float().mean((1, 2)), expected, atol=4.0, rtol=0)


def test_stl10_is_read_column_by_column_and_its_labels_count_from_one(tmp_path: Path) -> None:
    images = np.zeros((4, 3, 96, 96), dtype=np.uint8)
    images[:, 0, :48, :] = 200  # red above
    images[:, 2, :, :48] = 100  # blue on the left
    train, test = load_probe_set("stl10", stl10(tmp_path, images), like=known(pixels=2))
    assert train.classes == ("airplane", "bird")
    assert train.target.tolist() == test.target.tolist() == [0, 1, 0, 1]
    red, _, blue = test.images[0].float()
    assert red[0].min() > 150 > 50 > red[1].max()
    assert blue[:, 0].min() > 75 > 25 > blue[:, 1].max()


def test_a_grey_network_gets_the_mean_of_the_colours(tmp_path: Path) -> None:
    train, _ = load_probe_set("tiny-imagenet", tiny_imagenet(tmp_path), like=known(channels=1))
    assert train.shape == (6, 1, 8, 8)
    assert train.images[0].float().mean().item() == pytest.approx(80, abs=4)


def test_what_is_not_there_or_not_whole_is_said(tmp_path: Path) -> None:
    assert not is_there("stl10", tmp_path)
    assert not is_there("stl10", None)
    assert is_there("fake", None)
    with pytest.raises(FileNotFoundError, match="stl10: there is no folder stl10_binary"):
        load_probe_set("stl10", tmp_path, like=known())
    with pytest.raises(ValueError, match="expected one of tiny-imagenet, stl10, fake, got 'mnist'"):
        load_probe_set("mnist", tmp_path, like=known())
    stl10(tmp_path, np.zeros((2, 3, 96, 96), dtype=np.uint8))
    (tmp_path / "stl10_binary" / "test_y.bin").write_bytes(b"\1")
    with pytest.raises(ValueError, match="expected 3 x 96 x 96 bytes for each of 1 labels of test, got 55296 bytes"):
        load_probe_set("stl10", tmp_path, like=known())
    table = tiny_imagenet(tmp_path) / "tiny-imagenet-200" / "val" / "val_annotations.txt"
    table.write_text("val_0.JPEG\tn09\t0\t0\t63\t63\n")
    with pytest.raises(ValueError, match=r"classes that .*train does not have: n09"):
        load_probe_set("tiny-imagenet", tmp_path, like=known())
