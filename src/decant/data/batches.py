"""From a set of images to the batches of an epoch: order, shards, views."""

from collections.abc import Iterator

import torch

from decant.data.image_set import ImageSet
from decant.data.order import EpochOrder, epoch_order, require_rank
from decant.data.pictures.cut import PictureViews
from decant.data.pictures.picture_set import PictureSet, streamed_batches, streamed_centres
from decant.data.randaugment import RandAugment
from decant.data.settings import DataSettings
from decant.data.views import Normalise, Views
from decant.interfaces import Batch

Images = ImageSet | PictureSet
"""What is trained and judged on: a set that is whole on the device, or pictures that are read when they are needed."""


def views_of(
    settings: DataSettings,
    images: Images,
    *,
    seed: int,
    memory_format: torch.memory_format = torch.contiguous_format,
) -> Views | PictureViews:
    """The views of a set under ``settings``; ``seed``, the run's, serves where ``view_seed`` is None."""
    if isinstance(images, ImageSet):
        return Views.of(settings, images, seed=seed, memory_format=memory_format)
    size = images.settings.size
    strong = RandAugment(
        operations=settings.strong.operations,
        magnitude=settings.strong.magnitude,
        height=size,
        width=size,
        device=images.device,
    )
    return PictureViews(
        images.settings,
        strong=strong,
        flip=settings.flip,
        seed=seed if settings.view_seed is None else settings.view_seed,
        device=images.device,
        memory_format=memory_format,
    )


def epoch_batches(
    image_set: Images,
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
        strong_views: how many of these, the last ones, are strong.
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
    order = epoch_order(
        image_set.size,
        views,
        epoch=epoch,
        seed=seed,
        batch_size=batch_size,
        rank=rank,
        world=world,
        views_per_sample=views_per_sample,
        strong_views=strong_views,
        drop_last=drop_last,
    )
    return ordered_batches(image_set, views, order, start=start)


def ordered_batches(
    image_set: Images, views: Views | PictureViews, order: EpochOrder, *, start: int = 0
) -> Iterator[Batch]:
    """The batches of an epoch whose order is known: what `epoch_batches` gives, for who needs the order as well.

    Raises:
        ValueError: a start beyond the batches of this epoch, now rather than at the first batch.
        TypeError: views of the other kind of set.
    """
    if not 0 <= start <= order.steps:
        raise ValueError(f"start is 0 to {order.steps}, the batches of this epoch; got {start}")
    if isinstance(image_set, PictureSet) and isinstance(views, PictureViews):
        return streamed_batches(image_set, views, order, start)
    if not isinstance(image_set, ImageSet) or not isinstance(views, Views):
        raise TypeError(f"{image_set.name}: the views are of another kind of set; views_of makes those of this one")

    def batches() -> Iterator[Batch]:
        indices = order.index.to(image_set.device)
        view_ids = [ids.to(image_set.device) for ids in order.view_ids]
        weak = len(view_ids) - order.strong_views
        for step in range(start, order.steps):
            part = order.part(step)
            index, numbers = indices[part], tuple(ids[part] for ids in view_ids)
            pixels = image_set.images.index_select(0, index)
            images = tuple(views.render(pixels, ids, strong=view >= weak) for view, ids in enumerate(numbers))
            yield Batch(images, image_set.target[index], index, order.epoch + step / order.steps, numbers)

    return batches()


def plain_batches(
    image_set: Images,
    batch_size: int,
    *,
    rank: int = 0,
    world: int = 1,
    memory_format: torch.memory_format = torch.contiguous_format,
) -> Iterator[Batch]:
    """The images as they are (of pictures, their centres), normalised, in order: for evaluation.

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
    require_rank(rank, world)
    if isinstance(image_set, PictureSet):
        return streamed_centres(image_set, batch_size, rank, world, memory_format)
    normalise = Normalise(image_set.mean, image_set.std, device=image_set.device, memory_format=memory_format)
    shard = torch.arange(image_set.size, device=image_set.device).tensor_split(world)[rank]

    def batches() -> Iterator[Batch]:
        for first in range(0, len(shard), batch_size):
            index = shard[first : first + batch_size]
            images = normalise(image_set.images.index_select(0, index))
            yield Batch((images,), image_set.target[index], index)

    return batches()
