"""Distillation of yes/no outputs, one for each class: those that a sample has, and those that it has not, apart."""

from typing import NamedTuple

import torch
from torch import Tensor

from decant.losses.arguments import position_shape, require, working_logits, working_temperature
from decant.losses.divergence import Odds, binary_kl
from decant.losses.reduction import Reduction, check_reduction, reduce


class BernoulliDKDTerms(NamedTuple):
    """The two parts of :func:`bernoulli_dkd_loss`, in T^2 times nats, each a scalar or (N, C, d1, ...).

    Attributes:
        positives: of the classes that a sample has.
        negatives: of those that it has not.
    """

    positives: Tensor
    negatives: Tensor


def bernoulli_kd_loss(
    student: Tensor, teacher: Tensor, *, temperature: float | Tensor = 4.0, reduction: Reduction = "mean"
) -> Tensor:
    r"""Classical distillation of yes/no outputs: the divergence of every class's softened sigmoid, averaged.

    .. math:: \mathrm{KD} = \frac{T^2}{N C} \sum_{nc} \mathrm{KL}(\mathrm{Ber}(p_{nc}) \,\|\, \mathrm{Ber}(q_{nc})),
        \quad p = \sigma(z_\mathrm{teacher} / T), \; q = \sigma(z_\mathrm{student} / T)

    Source: :func:`kd_loss` (arXiv:1503.02531), with an output of its own for every class.

    Args:
        student: logits (N, C) or (N, C, d1, ...) of any floating type; C may be 1.
        teacher: logits of the same shape; never receives a gradient.
        temperature: T > 0. A float, or a tensor (0-d or broadcasting to the positions (N, d1, ...)).
        reduction: "mean" over all entries, "sum", or "none" for (N, C, d1, ...).

    Returns:
        T^2 times nats, in float32, or float64 if either network's logits are.

    Raises:
        TypeError: logits that are not floating point.
        ValueError: shapes that do not fit, a temperature that is not positive, an unknown reduction.

    Example:
        >>> student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[4.0, -8.0]])
        >>> round(bernoulli_kd_loss(student, teacher).item(), 4)
        3.5101
    """
    check_reduction(reduction)
    return reduce(_divergence(student, teacher, temperature), reduction)


def bernoulli_dkd_loss(
    student: Tensor,
    teacher: Tensor,
    target: Tensor | None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    temperature: float | Tensor = 4.0,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Decoupled distillation of yes/no outputs: alpha times the positive classes' part plus beta times the negatives'.

    .. math:: \mathrm{DKD} = \frac{T^2}{N C} \sum_{nc} \left( \alpha \, y_{nc} + \beta \, (1 - y_{nc}) \right)
        \mathrm{KL}(\mathrm{Ber}(p_{nc}) \,\|\, \mathrm{Ber}(q_{nc}))

    with p and q as in :func:`bernoulli_kd_loss`, which it is where alpha and beta are 1: there a part weighs as much as
    it has classes, so that the few that a sample has drown among the many that it has not.

    Source: ours. It carries over the idea of :func:`dkd_loss`, weights of their own for what the target parts; there
    is no normalisation over the other classes here, since no class takes probability from another.

    Args:
        student: logits (N, C) or (N, C, d1, ...) of any floating type; C may be 1.
        teacher: logits of the same shape; never receives a gradient.
        target: 1 where a sample has a class and 0 where not, of the shape of the logits and any type; between them the
            loss is its expectation. None for what the teacher thinks likelier: positive where its logit is above 0.
        alpha: weight of the positives.
        beta: weight of the negatives.
        temperature, reduction: as in :func:`bernoulli_kd_loss`.

    Returns:
        T^2 times nats, in float32, or float64 if either network's logits are.

    Raises:
        TypeError: logits that are not floating point, a target that is no tensor.
        ValueError: shapes that do not fit, a target outside 0 to 1, a temperature that is not positive, an unknown
            reduction. A target's entries are asserted asynchronously on CUDA and under compile.

    Example:
        >>> student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[4.0, -8.0]])
        >>> round(bernoulli_dkd_loss(student, teacher, torch.tensor([[1, 0]]), alpha=3.0).item(), 4)
        5.2852
    """
    positives, negatives = bernoulli_dkd_terms(student, teacher, target, temperature=temperature, reduction=reduction)
    return alpha * positives + beta * negatives


def bernoulli_dkd_terms(
    student: Tensor,
    teacher: Tensor,
    target: Tensor | None,
    *,
    temperature: float | Tensor = 4.0,
    reduction: Reduction = "mean",
) -> BernoulliDKDTerms:
    """Both parts apart, each divided by the number of all entries; everything else as in :func:`bernoulli_dkd_loss`.

    Example:
        >>> student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[4.0, -8.0]])
        >>> positives, negatives = bernoulli_dkd_terms(student, teacher, torch.tensor([[1, 0]]))
        >>> round(positives.item(), 4), round(negatives.item(), 4)
        (0.8876, 2.6225)
    """
    check_reduction(reduction)
    divergence = _divergence(student, teacher, temperature)
    positive = _positive(target, teacher).to(divergence.dtype)
    parts = (positive * divergence, (1 - positive) * divergence)
    return BernoulliDKDTerms(*(reduce(part, reduction) for part in parts))


def _divergence(student: Tensor, teacher: Tensor, temperature: float | Tensor) -> Tensor:
    """T^2 KL of every entry, (N, C, ...)."""
    for name, logits in (("student", student), ("teacher", teacher)):
        if not isinstance(logits, Tensor):
            raise TypeError(f"{name} must be a tensor of logits, got {type(logits).__name__}")
        if not logits.is_floating_point():
            raise TypeError(f"{name} must hold floating-point logits, got {logits.dtype}; the target comes third")
    if student.shape != teacher.shape or student.ndim < 2:
        raise ValueError(
            "student and teacher must both be logits (N, C) or (N, C, d1, ...) over the same classes, got "
            f"{tuple(student.shape)} and {tuple(teacher.shape)}; of one yes/no output, C is 1"
        )
    student, teacher = working_logits(student, teacher)
    t = working_temperature(temperature, student)
    scale = t.unsqueeze(1) if isinstance(t, Tensor) else t
    one = torch.ones((), dtype=student.dtype, device=student.device)
    p, q = (Odds(logits / scale, others=one) for logits in (teacher, student))
    return scale**2 * binary_kl(p, q)


def _positive(target: Tensor | None, teacher: Tensor) -> Tensor:
    """How much each class counts as one that the sample has, (N, C, ...), 0 to 1."""
    if target is None:
        return teacher > 0
    if not isinstance(target, Tensor) or target.is_complex():
        found = target.dtype if isinstance(target, Tensor) else type(target).__name__
        raise TypeError(f"target must be None or a tensor of 0 and 1 for every class, got {found}")
    if target.shape != teacher.shape:
        hint = "; class indices are for dkd_loss" if target.shape == position_shape(teacher) else ""
        raise ValueError(
            f"target must have the shape of the logits {tuple(teacher.shape)}, 1 where a sample has a class and 0 "
            f"where not, got {tuple(target.shape)}{hint}"
        )
    positive = target.detach()
    require((positive >= 0) & (positive <= 1), positive, "target must be 0 or 1 (or between) for every class")
    return positive
