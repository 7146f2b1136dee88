"""Which samples and views an epoch consists of: worked out on the host, before any image is made."""

from dataclasses import dataclass

import torch
from torch import Tensor

from decant.data.counter import MAX_SEED, counter_hash
from decant.data.pictures.cut import PictureViews
from decant.data.views import Views


@dataclass(frozen=True, eq=False)
class EpochOrder:
    """The samples and views of one epoch on one process, batch after batch, all on the CPU.

    So whoever wants to know what a step will hold need not ask the device for it, and can look ahead.

    Attributes:
        epoch: the whole number of epochs completed before this one.
        steps: number of batches.
        batch_size: samples per batch; the last one may have fewer.
        index: positions of the samples in their data set, (M,), int64, in the order in which they come.
        view_ids: number of the view that each gets, one (M,) int64 tensor per view of a sample.
        strong_views: how many of these, the last ones, are strong.
    """

    epoch: int
    steps: int
    batch_size: int
    index: Tensor
    view_ids: tuple[Tensor, ...]
    strong_views: int = 0

    def part(self, step: int) -> slice:
        """The stretch of ``index`` and of ``view_ids`` that makes the batch of this step."""
        return slice(step * self.batch_size, (step + 1) * self.batch_size)


def steps_per_epoch(size: int, batch_size: int, world: int = 1, drop_last: bool = False) -> int:
    """Batches that every process gets in an epoch.

    Args:
        size: number of samples.
        batch_size: samples per batch and process.
        world: number of processes.
        drop_last: leave out the samples that would make a smaller batch.

    Raises:
        ValueError: a number below 1; ``drop_last`` where no batch is full.

    Example:
        >>> steps_per_epoch(50_000, 64), steps_per_epoch(50_000, 64, world=2), steps_per_epoch(50_000, 64, 1, True)
        (782, 391, 781)
    """
    for name, number in (("size", size), ("batch_size", batch_size), ("world", world)):
        if number < 1:
            raise ValueError(f"{name} is at least 1; got {number}")
    if not drop_last:
        return -(-size // (batch_size * world))
    steps = size // (batch_size * world)
    if steps == 0:
        raise ValueError(
            f"drop_last leaves no batch: {size} samples are fewer than {batch_size} x {world} processes; "
            "take a smaller batch_size, or drop_last=False"
        )
    return steps


def epoch_order(
    size: int,
    views: Views | PictureViews,
    *,
    epoch: int,
    seed: int,
    batch_size: int,
    rank: int = 0,
    world: int = 1,
    views_per_sample: int = 1,
    strong_views: int = 0,
    drop_last: bool = False,
    among: Tensor | None = None,
) -> EpochOrder:
    """The order of one epoch of training over ``size`` samples; the arguments are those of `epoch_batches`.

    Args:
        among: positions (M,) that alone are met, as often as it takes to make ``size`` samples of them, each time in
            views of their own; None for all positions once. The rest is as for `epoch_batches`.

    Raises:
        ValueError: a number out of range.

    Example:
        >>> views = Views(mean=(0.0,), std=(1.0,), padding=4, flip=True, seed=0)
        >>> order = epoch_order(50_000, views, epoch=0, seed=0, batch_size=64)
        >>> order.steps, order.index[order.part(781)].shape, len(order.view_ids)
        (782, torch.Size([16]), 1)
    """
    steps = steps_per_epoch(size, batch_size, world, drop_last)
    require_rank(rank, world)
    if not 0 <= seed <= MAX_SEED or epoch < 0:
        raise ValueError(f"seed is 0 to 2**63 - 1 and epoch at least 0; got seed {seed} and epoch {epoch}")
    if views_per_sample < 1:
        raise ValueError(f"views_per_sample is at least 1; got {views_per_sample}")
    if not 0 <= strong_views <= views_per_sample:
        raise ValueError(f"strong_views is 0 to {views_per_sample}, the views of a sample; got {strong_views}")
    length = -(-size // world) * world
    # By counting round rather than appending a piece: a set smaller than the number of processes goes round many times.
    place = (torch.arange(rank, length, world, device="cpu") % size)[: steps * batch_size]
    # All view numbers of the epoch at once: the draws are then no work worth counting.
    weak = views_per_sample - strong_views
    if among is None:
        index = _shuffled(size, seed, epoch)[place]
        view_ids = tuple(views.view_ids(index, epoch, view, strong=view >= weak) for view in range(views_per_sample))
        return EpochOrder(epoch, steps, batch_size, index, view_ids, strong_views)
    passes = -(-size // len(among))
    index = torch.cat([among[_shuffled(len(among), seed, epoch * passes + number)] for number in range(passes)])[place]
    numbers = [torch.empty_like(index) for _ in range(views_per_sample)]
    for number in range(passes):
        of_pass = place // len(among) == number
        for view, ids in enumerate(numbers):
            own = number * views_per_sample + view
            ids[of_pass] = views.view_ids(index[of_pass], epoch, own, strong=view >= weak)
    return EpochOrder(epoch, steps, batch_size, index, tuple(numbers), strong_views)


def require_rank(rank: int, world: int) -> None:
    """Refuse a process that is none of so many."""
    if not 0 <= rank < world:
        raise ValueError(f"rank is 0 to {world - 1} for {world} processes; got {rank}")


def _shuffled(size: int, seed: int, epoch: int) -> Tensor:
    """A permutation of 0..size-1, (size,), int64, on the CPU, from (``seed``, ``epoch``) and a generator of its own."""
    # Hashed together with a name: the stream is another one than initialisation's under the same seed.
    generator = torch.Generator(device="cpu").manual_seed(int(counter_hash(seed, "order", epoch)) & MAX_SEED)
    return torch.randperm(size, generator=generator, device="cpu")
