"""Refined logit distillation: what the teacher says against the label is left out."""

from typing import NamedTuple

from torch import Tensor

from decant.losses.arguments import check_logits, working_classes, working_logits, working_temperature
from decant.losses.divergence import binary_kl, kl, odds_of_class, softmax
from decant.losses.reduction import Reduction, check_reduction, leave_out, reduce


class RLDTerms(NamedTuple):
    """The two parts of refined logit distillation, in T^2 times nats, each a scalar or (N, d1, ...).

    Attributes:
        confidence: is the student as sure of the target as the teacher is of its first choice?
        correlation: how do the classes that the teacher ranks below the target look?
    """

    confidence: Tensor
    correlation: Tensor


def rld_loss(
    student: Tensor,
    teacher: Tensor,
    target: Tensor | None,
    *,
    alpha: float = 1.0,
    beta: float = 8.0,
    temperature: float | Tensor = 4.0,
    confidence_temperature: float | Tensor = 1.0,
    reduction: Reduction = "mean",
    ignore_index: int = -100,
) -> Tensor:
    r"""Refined logit distillation: the teacher's confidence, and its classes below the target.

    .. math:: \mathrm{RLD} = \alpha \, \tau^2 \, \mathrm{KL}\left((p_m, 1 - p_m) \,\|\, (q_t, 1 - q_t)\right)
        + \beta \, T^2 \, \mathrm{KL}(\hat p \,\|\, \hat q)

    with p_m the largest probability of the teacher and q_t the student's of the target t, both at tau, and p^, q^ the
    softmax over T of the classes whose teacher's logit is below that of the target. Where the teacher is right, this is
    DKD with a temperature of its own for TCKD. Where fewer than two classes are left, the second part is 0.

    Source: Sun, Chen, Lyu, Chen, Chen, Wang, *Knowledge Distillation with Refined Logits*, ICCV 2025, arXiv:2408.07703.

    Args:
        student: logits (N, C) or (N, C, d1, ...) of any floating type; at least 2 classes.
        teacher: logits of the same shape; never receives a gradient.
        target: class indices (N, d1, ...), or None for the teacher's own arg-max.
        alpha: weight of the confidence.
        beta: weight of the classes below the target.
        temperature: T > 0: a float, or a tensor as in :func:`kd_loss`.
        confidence_temperature: tau, the same for the confidence.
        reduction: "mean" over the positions that count (0 if none does), "sum", or "none" for (N, d1, ...).
        ignore_index: the class index of positions that do not count.

    Returns:
        T^2 times nats, in float32, or float64 if either network's logits are.

    Raises:
        TypeError: logits that are not floating point, a target that is not integer.
        ValueError: shapes that do not fit, fewer than 2 classes, a class index out of range, a temperature that is
            not positive, an unknown reduction.

    Example:
        >>> import torch
        >>> student, teacher = torch.tensor([[0.0, 0.0, 0.0, 0.0]]), torch.tensor([[4.0, 2.0, 0.0, -4.0]])
        >>> round(rld_loss(student, teacher, torch.tensor([1])).item(), 4)
        15.0477
    """
    confidence, correlation = rld_terms(
        student,
        teacher,
        target,
        temperature=temperature,
        confidence_temperature=confidence_temperature,
        reduction=reduction,
        ignore_index=ignore_index,
    )
    return alpha * confidence + beta * correlation


def rld_terms(
    student: Tensor,
    teacher: Tensor,
    target: Tensor | None,
    *,
    temperature: float | Tensor = 4.0,
    confidence_temperature: float | Tensor = 1.0,
    reduction: Reduction = "mean",
    ignore_index: int = -100,
) -> RLDTerms:
    """Both parts apart, to be logged and weighted by the caller; everything else as in :func:`rld_loss`.

    Example:
        >>> import torch
        >>> student, teacher = torch.tensor([[0.0, 0.0, 0.0, 0.0]]), torch.tensor([[4.0, 2.0, 0.0, -4.0]])
        >>> confidence, correlation = rld_terms(student, teacher, torch.tensor([1]))
        >>> round(confidence.item(), 4), round(correlation.item(), 4)
        (0.8468, 1.7751)
    """
    check_reduction(reduction)
    check_logits(student, teacher)
    student, teacher = working_logits(student, teacher)
    t, tau = (working_temperature(value, student) for value in (temperature, confidence_temperature))
    indices, counted = working_classes(target, student, teacher, ignore_index)
    student, teacher = leave_out(student, counted), leave_out(teacher, counted)
    sure_of = odds_of_class(teacher, teacher.argmax(dim=1), tau)
    confidence = binary_kl(sure_of, odds_of_class(student, indices, tau))

    # The target itself, and what the teacher puts before it or level with it.
    refuted = teacher >= teacher.gather(1, indices.unsqueeze(1))
    some_left = ~refuted.all(dim=1)
    student, teacher = leave_out(student, some_left), leave_out(teacher, some_left)
    refuted = refuted & some_left.unsqueeze(1)
    correlation = kl(softmax(teacher, t, without=refuted), softmax(student, t, without=refuted))
    terms = (tau**2 * confidence, t**2 * correlation)
    return RLDTerms(*(reduce(term, reduction, counted) for term in terms))
