"""Data sets, on the device or streamed from files, their augmented views, and the batches of an epoch."""

from decant.data.batches import Images, epoch_batches, ordered_batches, plain_batches, views_of
from decant.data.hidden_labels import labelled_positions
from decant.data.image_set import ImageSet
from decant.data.mixing import Mixing
from decant.data.order import EpochOrder, epoch_order, steps_per_epoch
from decant.data.pictures.cut import PictureViews
from decant.data.pictures.load import PictureSplits, load_pictures
from decant.data.pictures.picture_set import PictureSet
from decant.data.pictures.preprocess import Preprocess, preprocess_from
from decant.data.pictures.settings import Interpolation, PictureSettings
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
    "Images",
    "Interpolation",
    "Mixing",
    "Normalise",
    "PictureSet",
    "PictureSettings",
    "PictureSplits",
    "PictureViews",
    "Preprocess",
    "RandAugment",
    "RandAugmentSettings",
    "Splits",
    "Views",
    "epoch_batches",
    "epoch_order",
    "labelled_positions",
    "load",
    "load_pictures",
    "ordered_batches",
    "plain_batches",
    "preprocess_from",
    "steps_per_epoch",
    "views_of",
]
