"""A set of images checks itself once, and its fingerprint follows the data alone."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from decant.data import ImageSet


def example() -> ImageSet:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (6, 3, 4, 5), generator=generator).to(torch.uint8)
    target = torch.tensor([0, 1, 2, 0, 1, 2])
    return ImageSet(images, target, ("a", "b", "c"), mean=(0.5,) * 3, std=(0.2,) * 3, name="example")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"images": torch.zeros(6, 3, 4, 5)}, TypeError, "images are uint8.*torch.float32"),
        ({"target": torch.zeros(6, dtype=torch.int32)}, TypeError, "target is int64.*torch.int32"),
        ({"images": torch.zeros(6, 4, 5, dtype=torch.uint8)}, ValueError, r"\(N, channels, H, W\).*\(6, 4, 5\)"),
        ({"images": torch.zeros(0, 3, 4, 5, dtype=torch.uint8)}, ValueError, "none of them 0"),
        ({"target": torch.zeros(5, dtype=torch.int64)}, ValueError, r"one target for each of 6.*\(5,\)"),
        ({"target": torch.tensor([0, 1, 2, 3, 0, 0])}, ValueError, "labels are 0 to 2 for 3 classes.*from 0 to 3"),
        ({"target": torch.tensor([0, -1, 2, 2, 0, 0])}, ValueError, "labels from -1 to 2"),
        ({"mean": (0.5,)}, ValueError, "one number for each of 3 channels"),
        ({"std": (0.2, 0.2)}, ValueError, "one number for each of 3 channels"),
        ({"std": (0.2, 0.0, 0.2)}, ValueError, "std above 0"),
    ],
)
def test_refuses(change: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"example: .*{message}"):
        replace(example(), **change)


def test_facts() -> None:
    facts = example().facts()
    assert (facts.size, facts.classes) == (6, ("a", "b", "c"))
    assert facts.targets.tolist() == [0, 1, 2, 0, 1, 2]


def test_subset_keeps_the_order_asked_for() -> None:
    whole = example()
    part = whole.subset(torch.tensor([4, 0]), "part")
    assert part.name == "part"
    assert part.target.tolist() == [1, 0]
    assert torch.equal(part.images, torch.stack((whole.images[4], whole.images[0])))


def test_fingerprint_follows_the_data_alone() -> None:
    whole = example()
    assert whole.fingerprint() == replace(whole, name="other", mean=(0.1,) * 3).fingerprint()
    assert whole.fingerprint() == replace(whole, images=whole.images.transpose(2, 3).contiguous().mT).fingerprint()
    pixel, label = whole.images.clone(), whole.target.clone()
    pixel[5, 2, 3, 4] ^= 1
    label[5] = 0
    changed = (
        replace(whole, images=pixel),
        replace(whole, target=label),
        replace(whole, images=whole.images.reshape(6, 3, 5, 4)),
        whole.subset(torch.tensor([1, 0, 2, 3, 4, 5]), "example"),
    )
    assert len({whole.fingerprint(), *(other.fingerprint() for other in changed)}) == 5
