"""Data sets as tensors on the device, their augmented views, and the batches of an epoch."""

from decant.data.batches import epoch_batches, plain_batches, steps_per_epoch
from decant.data.image_set import ImageSet
from decant.data.settings import DatasetName, DataSettings
from decant.data.sources import DATASETS, DatasetFacts, Splits, load
from decant.data.views import Normalise, Views

__all__ = [
    "DATASETS",
    "DataSettings",
    "DatasetFacts",
    "DatasetName",
    "ImageSet",
    "Normalise",
    "Splits",
    "Views",
    "epoch_batches",
    "load",
    "plain_batches",
    "steps_per_epoch",
]
