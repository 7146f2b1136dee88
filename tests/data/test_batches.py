"""Batches: every sample once, shards that cover, an order from (seed, epoch) alone, and a resume that skips."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from decant.data import (
    ImageSet,
    Views,
    epoch_batches,
    epoch_order,
    ordered_batches,
    plain_batches,
    steps_per_epoch,
)
from decant.interfaces import Batch

SIZE = 53


def example(size: int = SIZE) -> ImageSet:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (size, 1, 6, 6), generator=generator).to(torch.uint8)
    return ImageSet(images, torch.arange(size) % 5, tuple("abcde"), mean=(0.4,), std=(0.3,), name="example")


def example_views() -> Views:
    return Views(mean=(0.4,), std=(0.3,), padding=1, flip=True, seed=3)


def batches(size: int = SIZE, **changes: Any) -> Iterator[Batch]:
    return epoch_batches(example(size), example_views(), **{"epoch": 2, "seed": 7, "batch_size": 8, **changes})


def order(**changes: Any) -> list[int]:
    return [place for batch in batches(**changes) for place in batch.index.tolist()]


def assert_same(first: Batch, second: Batch) -> None:
    assert first.epoch == second.epoch
    for one, other in zip((first.index, *first.images), (second.index, *second.images), strict=True):
        assert torch.equal(one, other)


def test_every_sample_once_in_its_own_view_with_its_own_target() -> None:
    data, views = example(), example_views()
    assert sorted(order()) == list(range(SIZE))
    for batch in batches():
        assert batch.index.dtype == torch.int64
        assert isinstance(batch.target, Tensor)
        assert torch.equal(batch.target, data.target[batch.index])
        assert len(batch.images) == 1
        assert torch.equal(batch.images[0], views(data.images[batch.index], batch.index, 2))


def test_epoch_counts_completed_epochs() -> None:
    assert [batch.epoch for batch in batches()] == [2 + step / 7 for step in range(7)]


def test_order_is_of_seed_and_epoch_alone() -> None:
    assert order() == order(batch_size=5, views_per_sample=2)
    different = [order(), order(epoch=3), order(seed=8), order(seed=2, epoch=7), list(range(SIZE))]
    assert len({tuple(one) for one in different}) == 5


def test_first_sample_of_an_epoch_is_any() -> None:
    firsts = torch.tensor([next(batches(size=5, epoch=epoch, batch_size=1)).index[0] for epoch in range(500)])
    # 100 of each, give or take 9.
    assert all(60 < count < 140 for count in firsts.bincount(minlength=5).tolist())


@pytest.mark.parametrize("drop_last", [True, False])
def test_start_goes_on_where_an_epoch_was_left(drop_last: bool) -> None:
    whole = list(batches(drop_last=drop_last, views_per_sample=2))
    for start in range(len(whole) + 1):
        rest = list(batches(drop_last=drop_last, views_per_sample=2, start=start))
        assert len(rest) == len(whole) - start
        for one, other in zip(whole[start:], rest, strict=True):
            assert_same(one, other)


def test_skipped_batches_are_not_rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    rendered = []
    render = Views.render

    def counted(self: Views, images: Tensor, view_ids: Tensor, *, strong: bool) -> Tensor:
        rendered.append(len(view_ids))
        return render(self, images, view_ids, strong=strong)

    monkeypatch.setattr(Views, "render", counted)
    list(batches(start=5))
    assert rendered == [8, 5]


def test_views_of_a_sample_differ_and_the_first_is_the_single_one() -> None:
    for one, two in zip(batches(), batches(views_per_sample=2), strict=True):
        assert len(two.images) == 2
        assert torch.equal(one.images[0], two.images[0])
        assert not torch.equal(two.images[0], two.images[1])
        pixels = example().images[two.index]
        assert torch.equal(two.images[1], example_views()(pixels, two.index, 2, view=1))


@pytest.mark.parametrize("world", [2, 3, 7])
def test_shards_cover_and_repeat_only_to_fill_up(world: int) -> None:
    shards = [order(rank=rank, world=world) for rank in range(world)]
    assert len({len(shard) for shard in shards}) == 1
    met = sorted(place for shard in shards for place in shard)
    assert set(met) == set(range(SIZE))
    assert len(met) - SIZE == -SIZE % world
    assert all(len(shard) == len(set(shard)) for shard in shards)
    steps = [len(list(batches(rank=rank, world=world))) for rank in range(world)]
    assert steps == [steps_per_epoch(SIZE, 8, world)] * world


@pytest.mark.parametrize("drop_last", [True, False])
def test_a_step_of_many_processes_sees_what_one_would_see(drop_last: bool) -> None:
    ranks = [list(batches(rank=rank, world=2, batch_size=4, drop_last=drop_last)) for rank in range(2)]
    for alone, *shards in zip(batches(batch_size=8, drop_last=drop_last), *ranks, strict=True):
        together = {place for shard in shards for place in shard.index.tolist()}
        # The last step of an odd number of samples is filled up with the first sample of the order.
        assert together - {order()[0]} == set(alone.index.tolist()) - {order()[0]}
        assert {shard.epoch for shard in shards} == {alone.epoch}


def test_more_processes_than_samples() -> None:
    shards = [order(size=3, rank=rank, world=8) for rank in range(8)]
    assert [len(shard) for shard in shards] == [1] * 8
    assert {place for shard in shards for place in shard} == {0, 1, 2}


def test_drop_last_leaves_full_batches_only() -> None:
    for world in (1, 2):
        met: list[int] = []
        for rank in range(world):
            shard = list(batches(drop_last=True, rank=rank, world=world))
            assert [len(batch.index) for batch in shard] == [8] * (SIZE // (8 * world))
            met += [place for batch in shard for place in batch.index.tolist()]
        assert len(met) == len(set(met))


def test_global_randomness_is_neither_used_nor_changed() -> None:
    torch.manual_seed(1)
    before, first = torch.get_rng_state(), order()
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(2)
    assert order() == first


def test_order_is_not_what_the_seed_itself_would_shuffle() -> None:
    # A run seeds its initialisation with the bare seed; sharing that stream would tie order to weights.
    for epoch in (0, 7):
        assert order(epoch=epoch) != torch.randperm(SIZE, generator=torch.Generator().manual_seed(7)).tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 0}, "batch_size is at least 1; got 0"),
        ({"world": 0}, "world is at least 1; got 0"),
        ({"rank": 2, "world": 2}, "rank is 0 to 1 for 2 processes; got 2"),
        ({"rank": -1}, "rank is 0 to 0 for 1 processes; got -1"),
        ({"views_per_sample": 0}, "views_per_sample is at least 1; got 0"),
        ({"start": 8}, "start is 0 to 7, the batches of this epoch; got 8"),
        ({"start": -1}, "start is 0 to 7"),
        ({"seed": -1}, "got seed -1"),
        ({"epoch": -1}, "and epoch -1"),
        ({"batch_size": 54, "drop_last": True}, "drop_last leaves no batch: 53 samples are fewer than 54 x 1"),
    ],
)
def test_refuses_before_the_first_batch(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        batches(**change)


@pytest.mark.parametrize(
    ("arguments", "steps"),
    [((53, 8), 7), ((53, 8, 1, True), 6), ((56, 8), 7), ((53, 8, 2), 4), ((53, 8, 2, True), 3), ((1, 64, 8), 1)],
)
def test_steps_per_epoch(arguments: tuple[int, int, int, bool], steps: int) -> None:
    assert steps_per_epoch(*arguments) == steps


@pytest.mark.parametrize("world", [1, 2, 3, 60])
def test_plain_batches_bring_every_sample_exactly_once(world: int) -> None:
    data, views = example(), example_views()
    met = []
    for rank in range(world):
        for batch in plain_batches(data, 8, rank=rank, world=world):
            assert isinstance(batch.target, Tensor)
            assert 0 < len(batch.index) <= 8
            assert torch.equal(batch.images[0], views.plain(data.images[batch.index]))
            assert torch.equal(batch.target, data.target[batch.index])
            met += batch.index.tolist()
    assert met == list(range(SIZE))


def test_plain_batches_in_channels_last() -> None:
    batch = next(plain_batches(example(), 8, memory_format=torch.channels_last))
    assert batch.images[0].is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(batch.images[0], next(plain_batches(example(), 8)).images[0])


@pytest.mark.parametrize(("change", "message"), [({"batch_size": 0}, "batch_size"), ({"rank": 1}, "rank is 0 to 0")])
def test_plain_batches_refuse_before_the_first_batch(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plain_batches(example(), **{"batch_size": 8, **change})


@pytest.mark.parametrize("change", [{}, {"views_per_sample": 2}, {"rank": 1, "world": 3}, {"drop_last": True}])
def test_an_order_says_before_what_the_batches_will_hold(change: dict[str, Any]) -> None:
    order = epoch_order(SIZE, example_views(), epoch=2, seed=7, batch_size=8, **change)
    data, views = example(), example_views()
    made = list(ordered_batches(data, views, order))
    assert len(made) == order.steps
    assert len(order.view_ids) == change.get("views_per_sample", 1)
    for step, (batch, expected) in enumerate(zip(made, batches(**change), strict=True)):
        assert_same(batch, expected)
        assert torch.equal(batch.index, order.index[order.part(step)])
        for view, (images, ids) in enumerate(zip(batch.images, batch.view_ids, strict=True)):
            assert torch.equal(ids, order.view_ids[view][order.part(step)])
            assert torch.equal(ids, views.view_ids(batch.index, 2, view))
            assert torch.equal(images, views.render(data.images[batch.index], ids))
    assert sum(len(batch.index) for batch in made) == len(order.index), "nothing that no batch holds"
    assert all(tensor.device.type == "cpu" for tensor in (order.index, *order.view_ids))


def test_batches_without_views_have_no_numbers() -> None:
    assert next(plain_batches(example(), 8)).view_ids == ()
