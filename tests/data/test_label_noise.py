"""Labels that are wrong on purpose: as many as asked for, drawn once, and in the training set alone."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from data.made_pictures import folder
from decant.data import DataSettings, load, load_pictures

SIZE = 500


def target(share: float, split_seed: int = 0) -> Tensor:
    """The training labels of 400 images in five classes."""
    data = DataSettings(name="fake", fake_train=SIZE, fake_classes=5, validation=0.2, label_noise=share)
    return load(replace(data, split_seed=split_seed)).train.target


def test_as_many_labels_are_wrong_as_asked_for_and_all_other_classes_come_up() -> None:
    right, noisy = target(0.0), target(0.3)
    wrong = right != noisy
    assert int(wrong.sum()) == 120
    steps = ((noisy - right) % 5)[wrong].bincount(minlength=5)
    assert steps[0] == 0
    assert (steps[1:] > 15).all()
    assert ((right[wrong]).bincount() > 10).all()


def test_the_wrong_ones_of_a_smaller_share_are_among_those_of_a_larger_one() -> None:
    right, few, many = (target(share) for share in (0.0, 0.1, 0.3))
    wrong = right != few
    assert torch.equal(few[wrong], many[wrong])
    assert torch.equal(target(0.1), few)
    assert not torch.equal(target(0.1, split_seed=1), few)


def test_validation_and_test_labels_are_right() -> None:
    data = DataSettings(name="fake", validation=0.2)
    plain, noisy = load(data), load(replace(data, label_noise=0.5))
    assert not torch.equal(plain.train.target, noisy.train.target)
    assert torch.equal(plain.train.images, noisy.train.images)
    assert torch.equal(plain.test.target, noisy.test.target)
    assert plain.validation is not None
    assert noisy.validation is not None
    assert torch.equal(plain.validation.target, noisy.validation.target)
    assert plain.train.fingerprint() != noisy.train.fingerprint()


@pytest.mark.parametrize("parts", [(), ("train", "val", "test")])
def test_pictures_have_wrong_labels_too(tmp_path: Path, parts: tuple[str, ...]) -> None:
    names = [f"{part}/{label}" for part in parts or (".",) for label in ("cat", "dog", "cow")]
    folder(tmp_path / "pets", dict.fromkeys(names, 10))
    plain, noisy = (
        load_pictures(DataSettings(name="pictures", validation=0.2, label_noise=share), tmp_path / "pets")
        for share in (0.0, 0.25)
    )
    wrong = int((plain.train.target != noisy.train.target).sum())
    assert wrong == round(0.25 * plain.train.size)
    assert torch.equal(plain.test.target, noisy.test.target)
    assert plain.validation is not None
    assert noisy.validation is not None
    assert torch.equal(plain.validation.target, noisy.validation.target)


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
def test_what_is_no_share_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="label_noise is the share of wrong training labels, at least 0 and below 1"):
        DataSettings(label_noise=share)
