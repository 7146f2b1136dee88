"""Training sets are cut class by class, by the split's seed alone."""

from typing import Any

import pytest
import torch

from decant.data import DataSettings, ImageSet
from decant.data.stratify import cut_training_set, rank_in_class

COUNTS = (40, 10, 25)


def numbered() -> ImageSet:
    """A set of three classes in mixed order, where every image's pixel is its own position."""
    target = torch.repeat_interleave(torch.arange(3), torch.tensor(COUNTS))
    target = target[torch.randperm(75, generator=torch.Generator().manual_seed(0))]
    images = torch.arange(75, dtype=torch.uint8).reshape(75, 1, 1, 1)
    return ImageSet(images, target, ("a", "b", "c"), mean=(0.5,), std=(0.2,), name="numbered/train")


def positions(image_set: ImageSet) -> list[int]:
    return image_set.images.flatten().tolist()


def cut(**settings: Any) -> tuple[ImageSet, ImageSet]:
    train, validation = cut_training_set(numbered(), DataSettings(**settings))
    assert validation is not None
    return train, validation


def test_rank_counts_every_class_from_zero() -> None:
    target = numbered().target
    rank = rank_in_class(target, 0, "split")
    for label, count in enumerate(COUNTS):
        of_class = rank[target == label].tolist()
        assert sorted(of_class) == list(range(count))
        assert of_class != list(range(count))


def test_nothing_to_cut() -> None:
    whole = numbered()
    train, validation = cut_training_set(whole, DataSettings())
    assert train is whole
    assert validation is None


def test_parts_are_disjoint_cover_and_keep_order_and_labels() -> None:
    train, validation = cut(validation=0.2)
    assert sorted(positions(train) + positions(validation)) == list(range(75))
    assert validation.target.bincount().tolist() == [8, 2, 5]
    whole = numbered()
    for part in (train, validation):
        assert positions(part) == sorted(positions(part))
        assert torch.equal(part.target, whole.target[positions(part)])
    assert (train.name, validation.name) == ("numbered/train", "numbered/validation")


def test_few_labels() -> None:
    train, validation = cut_training_set(numbered(), DataSettings(train_per_class=7))
    assert train.target.bincount().tolist() == [7, 7, 7]
    assert validation is None


def test_fewer_labels_are_a_subset_and_leave_validation_alone() -> None:
    few, validation = cut(validation=0.2, train_per_class=3)
    more, same = cut(validation=0.2, train_per_class=8)
    assert set(positions(few)) < set(positions(more))
    assert positions(validation) == positions(same)
    assert not set(positions(more)) & set(positions(validation))


def test_split_seed_decides() -> None:
    again, other = cut(validation=0.2, split_seed=1), cut(validation=0.2, split_seed=2)
    assert positions(again[1]) == positions(cut(validation=0.2, split_seed=1, view_seed=9)[1])
    assert positions(again[1]) != positions(other[1])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (DataSettings(train_per_class=11), "train_per_class = 11, but class 'b' has 10 training images$"),
        (
            DataSettings(train_per_class=9, validation=0.2),
            "train_per_class = 9, but class 'b' has 8 training images besides the 2 held out for validation",
        ),
        (DataSettings(validation=0.04), "validation = 0.04 takes 0 of the 10 images of class 'b'"),
        (DataSettings(validation=0.98), "validation = 0.98 takes 10 of the 10 images of class 'b'"),
    ],
)
def test_too_few_images(settings: DataSettings, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cut_training_set(numbered(), settings)
