"""Which pictures a step sees."""

from collections import Counter

import pytest
import torch

from decant.detection.drawn_shapes import draw_shapes
from decant.detection.supply import PictureBatch, PictureSupply

SET = draw_shapes(10, seed=0)
CPU = torch.device("cpu")


def supply(**changes: object) -> PictureSupply:
    arguments = {"batch_size": 4, "epoch_steps": None, "flip": True, "seed": 3, **changes}
    return PictureSupply(SET, **arguments)  # type: ignore[arg-type]


def seen(batches: list[PictureBatch]) -> list[int]:
    return [index for batch in batches for index in batch.index.tolist()]


def test_passes_follow_one_another_whatever_an_epoch_is() -> None:
    short = supply(epoch_steps=5)
    order = [pair for epoch in range(3) for batch in short.order(epoch) for pair in batch]
    assert len(order) == 60
    for number in range(6):
        assert sorted(index for passed, index in order if passed == number) == list(range(10))
    long = supply(epoch_steps=15)
    assert [pair for batch in long.order(0) for pair in batch] == order
    assert supply().steps == 3
    assert order[:10] != order[10:20]


def test_an_epoch_is_the_same_whenever_it_is_drawn() -> None:
    first, again, other = (list(made.batches(2, CPU)) for made in (supply(), supply(), supply(seed=4)))
    assert seen(first) == seen(again) != seen(other)
    for left, right in zip(first, again, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(left.images, right.images, strict=True))
    assert [batch.epoch for batch in first] == pytest.approx([2.0, 2 + 1 / 3, 2 + 2 / 3])


def test_processes_share_each_batch() -> None:
    whole = list(supply().batches(0, CPU))
    halves = [list(supply(rank=rank, world=2).batches(0, CPU)) for rank in (0, 1)]
    for batch, left, right in zip(whole, *halves, strict=True):
        assert batch.index.tolist() == left.index.tolist() + right.index.tolist()


def test_mirror_images_come_with_mirrored_boxes() -> None:
    plain = {batch.index[0].item(): batch for batch in supply(flip=False, batch_size=1).batches(0, CPU)}
    mirrored = Counter[bool]()
    for batch in supply(batch_size=1).batches(0, CPU):
        other = plain[batch.index[0].item()]
        turned = not torch.equal(batch.images[0], other.images[0])
        mirrored[turned] += 1
        boxes = other.targets[0]["boxes"]
        if turned:
            assert torch.equal(batch.images[0].flip(2), other.images[0])
            boxes = torch.stack([96 - boxes[:, 2], boxes[:, 1], 96 - boxes[:, 0], boxes[:, 3]], 1)
        torch.testing.assert_close(batch.targets[0]["boxes"], boxes)
        assert type(batch.images[0]) is type(batch.targets[0]["boxes"]) is torch.Tensor
    assert min(mirrored[True], mirrored[False]) >= 2


def test_what_cannot_be_supplied() -> None:
    with pytest.raises(ValueError, match="divide by their number: 4 over 3"):
        supply(world=3)
    with pytest.raises(ValueError, match="no pictures to train on"):
        PictureSupply(draw_shapes(0, seed=0), batch_size=1, epoch_steps=1, flip=False, seed=0)
