"""Training images whose labels are hidden, and which ones still show theirs."""

from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor

from decant.data.image_set import ImageSet
from decant.data.pictures.picture_set import PictureSet
from decant.data.settings import DataSettings
from decant.data.stratify import rank_in_class
from decant.interfaces import UNLABELLED

AnySet = TypeVar("AnySet", ImageSet, PictureSet)


def with_hidden_labels(train: AnySet, settings: DataSettings) -> AnySet:
    """The training set with round(``settings.hidden_labels`` x n) labels of each class hidden; itself where that is 0.

    At least one label of each class stays. Which ones are hidden is decided by ``settings.split_seed``: those of a
    smaller share are among those of a larger one.
    """
    if settings.hidden_labels == 0:
        return train
    target = train.target.cpu()
    count = target.bincount(minlength=len(train.classes))
    hidden = torch.minimum((count * settings.hidden_labels).round().to(torch.int64), (count - 1).clamp(min=0))
    hide = rank_in_class(target, settings.split_seed, "hidden") < hidden[target]
    return replace(train, target=target.masked_fill(hide, UNLABELLED).to(train.device))


def labelled_positions(target: Tensor) -> Tensor:
    """Positions (M,) of the samples that carry a label, rising, of class indices (N,); int64, on the CPU.

    Of targets (N, C), 0 and 1 for every class, it is all positions.

    >>> labelled_positions(torch.tensor([2, UNLABELLED, 0]))
    tensor([0, 2])
    """
    if target.is_floating_point():
        return torch.arange(len(target), device="cpu")
    return (target.cpu() != UNLABELLED).nonzero()[:, 0]
