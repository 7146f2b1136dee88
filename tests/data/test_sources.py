"""Every data set by name: what it holds, that it is the same every time, and what is said when it is not there."""

import hashlib
import pickle
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from sklearn import datasets as scikit_learn
from torchvision import datasets as torchvision_datasets

from decant.data import DATASETS, DataSettings, ImageSet, load

# Of the 600 test images. If this changes, results on digits before and after cannot be compared.
DIGITS_TEST = "7a49b2b9bff1fa76d5e5cf0e65a203f7940c4caa030ed65900d868658a50a4ba"


def rows(image_set: ImageSet) -> set[bytes]:
    return {image.numpy().tobytes() for image in image_set.images}


def test_digits_are_the_real_ones() -> None:
    splits = load(DataSettings(name="digits"))
    facts = DATASETS["digits"]
    assert splits.train.shape == (facts.train, facts.channels, facts.pixels, facts.pixels)
    assert splits.test.shape == (facts.test, facts.channels, facts.pixels, facts.pixels)
    assert splits.validation is None
    assert splits.test.target.bincount().tolist() == [60] * facts.classes
    bundle = scikit_learn.load_digits()
    scaled = np.round(bundle.images * 255 / 16).astype(np.uint8)
    expected = sorted((image.tobytes(), int(label)) for image, label in zip(scaled, bundle.target, strict=True))
    both = [
        (image.numpy().tobytes(), int(label))
        for part in (splits.train, splits.test)
        for image, label in zip(part.images, part.target, strict=True)
    ]
    assert sorted(both) == expected


def test_digits_test_images_are_fixed() -> None:
    assert load(DataSettings()).test.fingerprint() == DIGITS_TEST
    settings = DataSettings(validation=0.2, train_per_class=20, split_seed=7, view_seed=3, padding=1)
    splits = load(settings)
    assert splits.test.fingerprint() == DIGITS_TEST
    assert splits.train.size == 200
    assert splits.validation is not None
    assert not rows(splits.validation) & rows(splits.train)


def test_digits_are_normalised_by_what_is_not_test() -> None:
    train = load(DataSettings()).train
    pixels = train.images.double() / 255
    assert pixels.mean().item() == pytest.approx(train.mean[0], abs=5e-5)
    assert pixels.std().item() == pytest.approx(train.std[0], abs=5e-5)


def test_fake_is_as_ordered_and_the_same_every_time() -> None:
    settings = DataSettings(name="fake", fake_train=60, fake_test=30, fake_classes=4, fake_pixels=9)
    splits = load(settings)
    assert (splits.train.shape, splits.test.shape) == ((60, 3, 9, 9), (30, 3, 9, 9))
    assert splits.train.target.bincount().tolist() == [15] * 4
    assert len(splits.train.classes) == 4
    again = load(settings)
    assert again.train.fingerprint() == splits.train.fingerprint()
    assert again.test.fingerprint() == splits.test.fingerprint()
    assert not rows(splits.train) & rows(splits.test)


def test_fake_default_is_as_listed() -> None:
    facts = DATASETS["fake"]
    splits = load(DataSettings(name="fake"))
    assert splits.train.shape == (facts.train, facts.channels, facts.pixels, facts.pixels)
    assert (splits.test.size, len(splits.train.classes)) == (facts.test, facts.classes)


def test_fake_can_be_learned_but_not_from_shuffled_labels() -> None:
    splits = load(DataSettings(name="fake"))

    def accuracy_of_nearest_mean(target: torch.Tensor) -> float:
        pixels = splits.train.images.double().flatten(1)
        means = torch.stack([pixels[target == label].mean(0) for label in range(10)])
        nearest = torch.cdist(splits.test.images.double().flatten(1), means).argmin(1)
        return float((nearest == splits.test.target).double().mean())

    shuffled = splits.train.target[torch.randperm(512, generator=torch.Generator().manual_seed(0))]
    assert accuracy_of_nearest_mean(splits.train.target) > 0.9
    assert accuracy_of_nearest_mean(shuffled) < 0.4


def test_loading_leaves_global_randomness_alone() -> None:
    before = torch.get_rng_state()
    load(DataSettings(name="fake", validation=0.2))
    load(DataSettings(name="digits", train_per_class=5))
    assert torch.equal(before, torch.get_rng_state())


@pytest.fixture
def small_cifar100(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """CIFAR-100 in its real layout, but of 6 + 4 images, with torchvision made to expect just these files."""
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()

    def write(file: str, content: dict[str, Any]) -> str:
        (folder / file).write_bytes(pickle.dumps(content))
        return hashlib.md5((folder / file).read_bytes()).hexdigest()

    def part(size: int) -> dict[str, Any]:
        pixels = np.arange(size * 3072).reshape(size, 3072) % 251
        return {"data": pixels.astype(np.uint8), "fine_labels": [99 - place for place in range(size)]}

    names = [f"kind {label}" for label in range(100)]
    source = torchvision_datasets.CIFAR100
    monkeypatch.setattr(source, "train_list", [["train", write("train", part(6))]])
    monkeypatch.setattr(source, "test_list", [["test", write("test", part(4))]])
    monkeypatch.setattr(source, "meta", {**source.meta, "md5": write("meta", {"fine_label_names": names})})
    return tmp_path


def test_cifar_layout(small_cifar100: Path) -> None:
    splits = load(DataSettings(name="cifar100"), root=small_cifar100)
    assert (splits.train.shape, splits.test.shape) == ((6, 3, 32, 32), (4, 3, 32, 32))
    assert splits.train.target.tolist() == [99, 98, 97, 96, 95, 94]
    assert splits.train.classes[99] == "kind 99"
    # The files hold all of a channel, row by row, before the next channel.
    assert splits.test.images[2, 1, 3, 4] == (2 * 3072 + 1024 + 3 * 32 + 4) % 251
    assert splits.train.images.is_contiguous()
    assert splits.train.mean == (0.5071, 0.4867, 0.4408)
    assert splits.train.name == "cifar100/train"


def test_cifar_needs_a_root() -> None:
    with pytest.raises(ValueError, match="cifar10 is read from a folder: pass root"):
        load(DataSettings(name="cifar10"))


def test_missing_files_are_named_with_the_way_to_get_them(small_cifar100: Path) -> None:
    (small_cifar100 / "cifar-100-python" / "test").unlink()
    with pytest.raises(FileNotFoundError) as error:
        load(DataSettings(name="cifar100"), root=small_cifar100)
    message = str(error.value)
    assert str(small_cifar100 / "cifar-100-python") in message
    assert "did not find test. " in message
    assert "download=True" in message
    assert "--download" in message


def test_all_files_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"did not find data_batch_1, .*, test_batch, batches\.meta"):
        load(DataSettings(name="cifar10"), root=tmp_path)


@pytest.mark.parametrize("file", ["train", "test", "meta"])
def test_other_files_are_never_unpickled(small_cifar100: Path, monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    (small_cifar100 / "cifar-100-python" / file).write_bytes(b"not what was published")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a file was unpickled before all were checked")

    monkeypatch.setattr(pickle, "load", refuse)
    with pytest.raises(ValueError, match=f"not the published files, by their MD5: {file} in "):
        load(DataSettings(name="cifar100"), root=small_cifar100)


def test_downloads_only_if_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def offline(self: Any) -> None:
        asked.append(self.root)
        raise URLError("no network")

    monkeypatch.setattr(torchvision_datasets.CIFAR100, "download", offline)
    with pytest.raises(FileNotFoundError):
        load(DataSettings(name="cifar100"), root=tmp_path)
    assert not asked
    with pytest.raises(OSError, match=r"cifar100: https://.* could not be downloaded to .*: no network"):
        load(DataSettings(name="cifar100"), root=tmp_path, download=True)
    assert len(asked) == 1
