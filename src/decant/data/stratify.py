"""Cutting a set class by class: the same share, or the same number, of every class."""

from typing import TypeVar

import torch
from torch import Tensor

from decant.data.counter import counter_hash
from decant.data.image_set import ImageSet
from decant.data.pictures.picture_set import PictureSet
from decant.data.settings import DataSettings


def rank_in_class(target: Tensor, seed: int, name: str) -> Tensor:
    """The place of every sample, from 0, in a shuffled order of its own class; (N,) -> (N,), int64, on the CPU.

    "The first k of every class" is then ``rank_in_class(...) < k``. The order comes from :func:`counter_hash` of
    (``seed``, ``name``, position), so it is the same under every version of torch.
    """
    target = target.cpu()
    shuffled = counter_hash(seed, name, torch.arange(len(target), device="cpu")).argsort()
    by_class = shuffled[target[shuffled].argsort(stable=True)]
    count = target.bincount()
    first = count.cumsum(0) - count
    rank = torch.empty_like(target)
    rank[by_class] = torch.arange(len(target), device="cpu") - first[target[by_class]]
    return rank


Set = TypeVar("Set", ImageSet, PictureSet)


def cut_training_set(whole: Set, settings: DataSettings) -> tuple[Set, Set | None]:
    """What is trained on, and what is held out for tuning (None where ``settings.validation`` is 0).

    Of each class, in an order shuffled by ``settings.split_seed``, the first round(validation x n) images are held
    out and the next ``train_per_class`` (None: all the rest) are trained on. Both keep the order of ``whole``. Where an
    image has any number of classes, with targets (N, C), they are drawn from all images at once.

    Raises:
        ValueError: a class that has too few images.
    """
    if settings.validation == 0 and settings.train_per_class is None:
        return whole, None
    target = whole.target.cpu()
    if target.ndim == 2:
        return _cut_of_several(whole, target, settings)
    count = target.bincount(minlength=len(whole.classes))
    held_out = (count * settings.validation).round().to(torch.int64)
    left = count - held_out
    wanted = left if settings.train_per_class is None else torch.full_like(left, settings.train_per_class)
    _require_enough(whole, settings, held_out, left, wanted)

    rank = rank_in_class(target, settings.split_seed, "split") - held_out[target]
    trained = whole.subset(((rank >= 0) & (rank < wanted[target])).nonzero()[:, 0].to(whole.device), whole.name)
    if settings.validation == 0:
        return trained, None
    name = f"{whole.name.removesuffix('/train')}/validation"
    return trained, whole.subset((rank < 0).nonzero()[:, 0].to(whole.device), name)


def _cut_of_several(whole: Set, target: torch.Tensor, settings: DataSettings) -> tuple[Set, Set]:
    held_out = round(settings.validation * whole.size)
    rank = counter_hash(settings.split_seed, "split", torch.arange(whole.size, device="cpu")).argsort().argsort()
    trained, held = ((rank >= held_out).nonzero()[:, 0], (rank < held_out).nonzero()[:, 0])
    if lost := [name for name, left in zip(whole.classes, target[trained].sum(0).tolist(), strict=True) if not left]:
        raise ValueError(
            f"{whole.name}: validation = {settings.validation} leaves no image of class {lost[0]!r} to train on; take "
            "another data.split_seed, a smaller share, or name the parts in a column split"
        )
    has = target[held] > 0.5
    if not bool((has.any(0) & ~has.all(0)).any()):
        raise ValueError(
            f"{whole.name}: validation = {settings.validation} takes {held_out} of {whole.size} images, among which no "
            "class is had by some and not by others, so nothing could be judged; take a larger share"
        )
    name = f"{whole.name.removesuffix('/train')}/validation"
    return whole.subset(trained.to(whole.device), whole.name), whole.subset(held.to(whole.device), name)


def _require_enough(
    whole: ImageSet | PictureSet, settings: DataSettings, held_out: Tensor, left: Tensor, wanted: Tensor
) -> None:
    for name, out, rest, want in zip(whole.classes, held_out.tolist(), left.tolist(), wanted.tolist(), strict=True):
        if settings.validation > 0 and (out == 0 or rest == 0):
            raise ValueError(
                f"{whole.name}: validation = {settings.validation} takes {out} of the {out + rest} images of class "
                f"{name!r}; both training and validation need at least one of every class"
            )
        if want > rest:
            raise ValueError(
                f"{whole.name}: train_per_class = {want}, but class {name!r} has {rest} training images"
                + (f" besides the {out} held out for validation" if out else "")
            )
