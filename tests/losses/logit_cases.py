"""Every loss on logits published after DKD, with inputs that it takes, and the same loss from the papers' loops."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

import logit_references as references
from decant import losses

N, C = 4, 6
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Case:
    """A loss as a function of student, teacher and target, and the loop that it equals.

    Attributes:
        loss: one value per position where the loss has such, else a scalar.
        reference: the same from loops.
        weights: what the rounding errors of the terms are multiplied with, T^2 included.
        batch: it compares the samples of a batch, and takes (N, C) only.
        label: it depends on the target.
        copy: a student that copies its teacher has nothing to learn.
    """

    loss: Loss
    reference: Loss
    weights: float
    batch: bool = False
    label: bool = False
    copy: bool = True


def logits(dtype: torch.dtype = torch.float64, scale: float = 2.0, behind: tuple[int, ...] = ()) -> tuple[Tensor, ...]:
    """Student (which asks for a gradient), teacher and target; the same in every type, up to rounding."""
    generator = torch.Generator().manual_seed(3)
    student, teacher = (scale * torch.randn(2, N, C, *behind, generator=generator, dtype=torch.float64)).to(dtype)
    return student.requires_grad_(), teacher, torch.randint(C, (N, *behind), generator=generator)


def value_and_gradient(value: Tensor, student: Tensor) -> tuple[Tensor, Tensor]:
    """The value, and the gradient of its mean."""
    (gradient,) = torch.autograd.grad(value.mean(), student)
    return value, gradient


def unlabelled(function: Callable[..., Tensor], **settings: Any) -> Loss:
    def loss(student: Tensor, teacher: Tensor, _: Tensor) -> Tensor:
        return function(student, teacher, **settings)

    return loss


def labelled(function: Callable[..., Tensor], **settings: Any) -> Loss:
    return partial(function, **settings)


def nkd(**settings: float) -> tuple[Loss, Loss]:
    return labelled(losses.nkd_loss, **settings, reduction="none"), labelled(references.nkd, **settings)


def ttm(**settings: float) -> tuple[Loss, Loss]:
    return unlabelled(losses.ttm_loss, **settings, reduction="none"), unlabelled(references.ttm, **settings)


def luminet(temperature: float) -> tuple[Loss, Loss]:
    return (
        unlabelled(losses.luminet_loss, temperature=temperature, reduction="none"),
        unlabelled(references.luminet, temperature=temperature),
    )


def gdkd(weights: tuple[float, float, float], **settings: Any) -> tuple[Loss, Loss]:
    named = dict(zip(("bucket_weight", "top_weight", "rest_weight"), weights, strict=True))
    return (
        unlabelled(losses.gdkd_loss, **named, **settings, reduction="none"),
        unlabelled(references.gdkd, weights=weights, **settings),
    )


def rld(alpha: float, beta: float, temperature: float, tau: float) -> tuple[Loss, Loss]:
    shared = {"alpha": alpha, "beta": beta, "temperature": temperature}
    return (
        labelled(losses.rld_loss, **shared, confidence_temperature=tau, reduction="none"),
        labelled(references.rld, **shared, tau=tau),
    )


def dist(temperature: float) -> tuple[Loss, Loss]:
    return unlabelled(losses.dist_loss, temperature=temperature), unlabelled(references.dist, temperature=temperature)


def both(logits: Tensor) -> tuple[Tensor, Tensor]:
    """A weak view and a strong one, on which the network says something else, and less surely."""
    return logits, 0.5 * logits.roll(1, dims=1)


def on_both(function: Callable[..., Tensor], **settings: Any) -> Loss:
    def loss(student: Tensor, teacher: Tensor, _: Tensor) -> Tensor:
        return function(both(student), both(teacher), **settings)

    return loss


def crld(weights: tuple[float, float], sure: tuple[float, float], temperature: float) -> tuple[Loss, Loss]:
    named = {"within_weight": weights[0], "across_weight": weights[1], "temperature": temperature}
    named |= {"weak_confidence": sure[0], "strong_confidence": sure[1]}
    return (
        on_both(losses.crld_loss, **named, reduction="none"),
        on_both(references.crld, weights=weights, sure=sure, temperature=temperature),
    )


def mlkd(weights: tuple[float, float, float, float], temperatures: tuple[float, ...]) -> tuple[Loss, Loss]:
    named = dict(zip(("weak_weight", "strong_weight", "class_weight", "sample_weight"), weights, strict=True))
    return (
        on_both(losses.mlkd_loss, **named, temperatures=temperatures),
        on_both(references.mlkd, weights=weights, temperatures=temperatures),
    )


CASES: dict[str, Case] = {
    "dist": Case(*dist(temperature=4.0), weights=64.0, batch=True),
    "dist, T 1": Case(*dist(temperature=1.0), weights=4.0, batch=True),
    "nkd": Case(*nkd(), weights=2.5, label=True, copy=False),
    "nkd, T 4": Case(*nkd(gamma=8.0, temperature=4.0), weights=129.0, label=True, copy=False),
    "luminet": Case(*luminet(4.0), weights=16.0, batch=True),
    "luminet, T 1": Case(*luminet(1.0), weights=1.0, batch=True),
    "ttm": Case(*ttm(), weights=1.0, copy=False),
    "ttm, weighted": Case(*ttm(gamma=0.3, weighted=True), weights=4.0, copy=False),
    "ttm, gamma 1": Case(*ttm(gamma=1.0), weights=1.0),
    "rld": Case(*rld(1.0, 8.0, 4.0, 1.0), weights=129.0, label=True),
    "rld, T 0.7": Case(*rld(3.0, 2.0, 0.7, 2.0), weights=13.0, label=True),
    "gdkd": Case(*gdkd((1.0, 2.0, 8.0), k=5), weights=176.0),
    "gdkd, k 2": Case(*gdkd((3.0, 0.5, 2.0), k=2, temperature=0.7), weights=3.0),
    "crld": Case(*crld((2.0, 0.5), (0.9, 0.2), 4.0), weights=80.0, copy=False),
    "crld, T 0.7": Case(*crld((1.0, 3.0), (0.5, 0.4), 0.7), weights=4.0, copy=False),
    "mlkd": Case(*mlkd((0.45, 0.9, 0.45, 0.45), (2.0, 3.0, 4.0, 5.0, 6.0)), weights=125.0, batch=True),
    "mlkd, two T": Case(*mlkd((0.5, 1.0, 3.0, 2.0), (0.7, 1.5)), weights=15.0, batch=True),
}
"""By the loss's name up to the comma."""
