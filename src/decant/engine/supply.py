"""What a run trains and judges on."""

from collections.abc import Iterable, Iterator

import torch

from decant.data import (
    EpochOrder,
    Images,
    Mixing,
    PictureSet,
    PictureSplits,
    Splits,
    epoch_order,
    labelled_positions,
    ordered_batches,
    steps_per_epoch,
    views_of,
)
from decant.engine.parallel import Parallel
from decant.interfaces import Batch, Method
from decant.recipe import Recipe


class Supply:
    """What a run trains and judges on, made from its recipe.

    Raises:
        ValueError: a batch size that the processes cannot share, views that leave nothing of the images, a split that
            is not there.
    """

    def __init__(self, recipe: Recipe, splits: Splits | PictureSplits, parallel: Parallel) -> None:
        world = parallel.world
        if recipe.train.batch_size % world:
            raise ValueError(
                "train.batch_size is over all processes and must divide by their number: "
                f"{recipe.train.batch_size} over {world}"
            )
        self._recipe, self._parallel, self.images = recipe, parallel, splits.train
        self.labelled = labelled_positions(splits.train.target)
        self._batch_size = recipe.train.batch_size // world
        self.steps = steps_per_epoch(splits.train.size, self._batch_size, world)
        self.layout = torch.channels_last if recipe.train.channels_last else torch.contiguous_format
        self.judged = judged_images(recipe, splits)
        self.views = views_of(recipe.data, splits.train, seed=recipe.seed, memory_format=self.layout)
        train, classes = recipe.train, len(splits.train.classes)
        self._mixing = Mixing(
            mixup=train.mixup,
            cutmix=train.cutmix,
            label_smoothing=train.label_smoothing,
            classes=classes,
            seed=self.views.seed,
        )

    def orders(self, epochs: Iterable[int], method: Method) -> Iterator[EpochOrder]:
        """The samples of these epochs on this process, in so many views as the method wants.

        All are strong where the recipe's data says so. A method without a teacher learns nothing from samples without a
        label: its epochs are as long as any, so that none gets fewer steps, but of labelled samples alone.
        """
        strong_views = method.views if self._recipe.data.all_strong else method.strong_views
        among = None if method.needs_teacher or len(self.labelled) == self.images.size else self.labelled
        for epoch in epochs:
            yield epoch_order(
                self.images.size,
                self.views,
                epoch=epoch,
                seed=self._recipe.seed,
                batch_size=self._batch_size,
                rank=self._parallel.rank,
                world=self._parallel.world,
                views_per_sample=method.views,
                strong_views=strong_views,
                among=among,
            )

    def batches(self, order: EpochOrder, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch on this process, but for so many first ones."""
        batches = ordered_batches(self.images, self.views, order, start=start)
        return self._mixed(batches, order, start) if self._recipe.train.mixes_labels else batches

    def _mixed(self, batches: Iterator[Batch], order: EpochOrder, start: int) -> Iterator[Batch]:
        height, width = self.images.shape[2:]
        if isinstance(self.images, PictureSet):  # whose views may grow with the epoch
            height = width = self.images.settings.training_size(order.epoch)
        mixes = self._mixing.draw(order, height, width)
        for step, batch in enumerate(batches, start):
            yield self._mixing(batch, mixes, order.part(step))


def judged_images(recipe: Recipe, splits: Splits | PictureSplits) -> Images:
    """The images that a recipe's students are judged on.

    Raises:
        ValueError: validation images where the recipe holds none out.
    """
    if recipe.judged_on == "test":
        return splits.test
    if splits.validation is None:
        raise ValueError('judged_on = "validation" needs data.validation above 0')
    return splits.validation
