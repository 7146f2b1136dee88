"""From a set of images to the batches of an epoch: order, shards, views."""

from collections.abc import Iterator

import torch
from torch import Tensor

from decant.data.counter import MAX_SEED, counter_hash
from decant.data.image_set import ImageSet
from decant.data.views import Normalise, Views
from decant.interfaces import Batch


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


def epoch_batches(
    image_set: ImageSet,
    views: Views,
    *,
    epoch: int,
    seed: int,
    batch_size: int,
    rank: int = 0,
    world: int = 1,
    views_per_sample: int = 1,
    drop_last: bool = False,
    start: int = 0,
) -> Iterator[Batch]:
    """The batches of one epoch of training, shuffled, each sample in its view (or views) of this epoch.

    The order is a permutation from (``seed``, ``epoch``) alone; no global random state is read or changed. Process
    ``rank`` takes every ``world``-th sample of it, so a step of W processes with batches of B sees the samples that one
    process with batches of W B would see. Every process gets the same number of batches, of the same sizes: without
    ``drop_last`` the order is filled up from its own beginning to a multiple of ``world``, so up to ``world - 1``
    samples are met twice.

    Args:
        image_set: what is trained on.
        views: how it is augmented.
        epoch: the whole number of epochs completed before this one.
        seed: the run's seed, 0 to 2**63 - 1.
        batch_size: samples per batch and process.
        rank: this process, 0 to ``world - 1``.
        world: number of processes.
        views_per_sample: views of each sample, ``len(batch.images)``.
        drop_last: leave out the samples that would make a smaller batch.
        start: number of batches to skip, unrendered: where an interrupted epoch goes on.

    Returns:
        Iterator of ``steps_per_epoch(...) - start`` batches on the images' device; ``batch.epoch`` is ``epoch`` + step
        / steps, also after a ``start``.

    Raises:
        ValueError: a number out of range, now rather than at the first batch.

    Example:
        >>> from decant.data import DataSettings, Views, load
        >>> settings = DataSettings(name="digits", padding=1, flip=False)
        >>> train = load(settings).train
        >>> batches = epoch_batches(train, Views.of(settings, train, seed=0), epoch=2, seed=0, batch_size=400)
        >>> [(len(batch.index), round(batch.epoch, 2)) for batch in batches]
        [(400, 2.0), (400, 2.33), (397, 2.67)]
    """
    steps = steps_per_epoch(image_set.size, batch_size, world, drop_last)
    _require_rank(rank, world)
    if not 0 <= seed <= MAX_SEED or epoch < 0:
        raise ValueError(f"seed is 0 to 2**63 - 1 and epoch at least 0; got seed {seed} and epoch {epoch}")
    if views_per_sample < 1:
        raise ValueError(f"views_per_sample is at least 1; got {views_per_sample}")
    if not 0 <= start <= steps:
        raise ValueError(f"start is 0 to {steps}, the batches of this epoch; got {start}")

    length = -(-image_set.size // world) * world
    order = _order(image_set.size, seed, epoch)
    # By counting round rather than appending a piece: a set smaller than the number of processes goes round many times.
    shard = order[torch.arange(rank, length, world, device="cpu") % image_set.size].to(image_set.device)

    def batches() -> Iterator[Batch]:
        # All view numbers of the epoch at once: the draws are then no work worth counting.
        ids = [views.view_ids(shard, epoch, view) for view in range(views_per_sample)]
        for step in range(start, steps):
            part = slice(step * batch_size, (step + 1) * batch_size)
            index = shard[part]
            pixels = image_set.images.index_select(0, index)
            images = tuple(views.render(pixels, numbers[part]) for numbers in ids)
            yield Batch(images, image_set.target[index], index, epoch + step / steps)

    return batches()


def plain_batches(
    image_set: ImageSet,
    batch_size: int,
    *,
    rank: int = 0,
    world: int = 1,
    memory_format: torch.memory_format = torch.contiguous_format,
) -> Iterator[Batch]:
    """The images as they are, normalised, in order: for evaluation.

    Every sample comes exactly once over all processes: process ``rank`` takes the ``rank``-th of ``world`` stretches,
    whose lengths differ by at most one. So processes may have different numbers of batches, even none.

    Raises:
        ValueError: a number out of range, now rather than at the first batch.

    Example:
        >>> from decant.data import DataSettings, load
        >>> [len(batch.index) for batch in plain_batches(load(DataSettings()).test, 256)]
        [256, 256, 88]
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is at least 1; got {batch_size}")
    _require_rank(rank, world)
    normalise = Normalise(image_set.mean, image_set.std, device=image_set.device, memory_format=memory_format)
    shard = torch.arange(image_set.size, device=image_set.device).tensor_split(world)[rank]

    def batches() -> Iterator[Batch]:
        for first in range(0, len(shard), batch_size):
            index = shard[first : first + batch_size]
            images = normalise(image_set.images.index_select(0, index))
            yield Batch((images,), image_set.target[index], index)

    return batches()


def _require_rank(rank: int, world: int) -> None:
    if not 0 <= rank < world:
        raise ValueError(f"rank is 0 to {world - 1} for {world} processes; got {rank}")


def _order(size: int, seed: int, epoch: int) -> Tensor:
    """A permutation of 0..size-1, (size,), int64, on the CPU, from (``seed``, ``epoch``) and a generator of its own."""
    # Hashed together with a name: the stream is another one than initialisation's under the same seed.
    generator = torch.Generator(device="cpu").manual_seed(int(counter_hash(seed, "order", epoch)) & MAX_SEED)
    return torch.randperm(size, generator=generator, device="cpu")
