"""Wrong labels on purpose: a share of the training labels replaced by another class."""

from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor

from decant.data.counter import counter_hash, draw_below
from decant.data.image_set import ImageSet
from decant.data.pictures.picture_set import PictureSet
from decant.data.settings import DataSettings

AnySet = TypeVar("AnySet", ImageSet, PictureSet)


def with_label_noise(train: AnySet, settings: DataSettings) -> AnySet:
    """The training set with round(``settings.label_noise`` x N) labels wrong; itself where that is 0.

    A wrong label is one of the other classes, all equally likely. Which labels are wrong, and what they become, is
    hashed from (``settings.split_seed``, position in this set): the wrong ones of a smaller share are among those of a
    larger one, with the same wrong class.
    """
    if settings.label_noise == 0:
        return train
    target = _noisy(train.target.cpu(), len(train.classes), settings.label_noise, settings.split_seed)
    return replace(train, target=target.to(train.device))


def _noisy(target: Tensor, classes: int, share: float, seed: int) -> Tensor:
    place = torch.arange(len(target), device="cpu")
    wrong = counter_hash(seed, "noisy", place).argsort()[: round(share * len(target))]
    # One of the classes - 1 steps round the circle of classes: never the right one again.
    step = 1 + draw_below(classes - 1, seed, "noise", wrong)
    noisy = target.clone()
    noisy[wrong] = (target[wrong] + step) % classes
    return noisy
