"""Data sets as tensors on the device, their augmented views, and the batches of an epoch."""

from decant.data.batches import epoch_batches, ordered_batches, plain_batches
from decant.data.image_set import ImageSet
from decant.data.order import EpochOrder, epoch_order, steps_per_epoch
from decant.data.randaugment import RandAugment
from decant.data.settings import DatasetName, DataSettings, RandAugmentSettings
from decant.data.sources import DATASETS, DatasetFacts, Splits, load
from decant.data.views import Normalise, Views

__all__ = [
    "DATASETS",
    "DataSettings",
    "DatasetFacts",
    "DatasetName",
    "EpochOrder",
    "ImageSet",
    "Normalise",
    "RandAugment",
    "RandAugmentSettings",
    "Splits",
    "Views",
    "epoch_batches",
    "epoch_order",
    "load",
    "ordered_batches",
    "plain_batches",
    "steps_per_epoch",
]
