"""Normalised knowledge distillation: the target as the teacher trusts it, the other classes apart."""

from typing import NamedTuple

from torch import Tensor
from torch.nn import functional as F

from decant.losses.arguments import check_logits, working_classes, working_logits, working_temperature
from decant.losses.divergence import is_class, odds_of_class, softmax
from decant.losses.reduction import Reduction, check_reduction, leave_out, reduce


class NKDTerms(NamedTuple):
    """The two parts of normalised distillation, in nats, each a scalar or (N, d1, ...).

    Attributes:
        target: the cross-entropy of the target class, times the teacher's probability of it; at temperature 1.
        others: T^2 times the cross-entropy of the other classes.
    """

    target: Tensor
    others: Tensor


def nkd_loss(
    student: Tensor,
    teacher: Tensor,
    target: Tensor | None,
    *,
    gamma: float = 1.5,
    temperature: float | Tensor = 1.0,
    reduction: Reduction = "mean",
    ignore_index: int = -100,
) -> Tensor:
    r"""Normalised knowledge distillation, without the cross-entropy with the label that is added to it.

    .. math:: \mathrm{NKD} = -p_t \log q_t - \gamma \, T^2 \sum_{i \ne t} \hat p_i \log \hat q_i

    with p and q the softmax of the teacher's and the student's logits, t the target class, and p^ and q^ the softmax
    over T of the other classes alone. These are cross-entropies: the smallest value is not 0, but that of the teacher.

    Source: Yang, Zeng, Li, Zhang, Yuan, Li, *From Knowledge Distillation to Self-Knowledge Distillation: A Unified
    Approach with Normalized Loss and Customized Soft Labels*, ICCV 2023, arXiv:2303.13005.

    Args:
        student: logits (N, C) or (N, C, d1, ...) of any floating type; at least 2 classes.
        teacher: logits of the same shape; never receives a gradient.
        target: class indices (N, d1, ...), or None for the teacher's own arg-max.
        gamma: weight of the other classes.
        temperature: T > 0 of the other classes: a float, or a tensor as in :func:`kd_loss`.
        reduction: "mean" over the positions that count (0 if none does), "sum", or "none" for (N, d1, ...).
        ignore_index: the class index of positions that do not count.

    Returns:
        Nats, T^2 times nats for the second part; float32, or float64 if either network's logits are.

    Raises:
        TypeError: logits that are not floating point, a target that is not integer.
        ValueError: shapes that do not fit, fewer than 2 classes, a class index out of range, a temperature that is
            not positive, an unknown reduction.

    Example:
        >>> import torch
        >>> student, teacher = torch.tensor([[0.0, 0.0, 0.0]]), torch.tensor([[4.0, 0.0, -4.0]])
        >>> round(nkd_loss(student, teacher, torch.tensor([0])).item(), 4)
        2.1182
    """
    of_target, others = nkd_terms(
        student, teacher, target, temperature=temperature, reduction=reduction, ignore_index=ignore_index
    )
    return of_target + gamma * others


def nkd_terms(
    student: Tensor,
    teacher: Tensor,
    target: Tensor | None,
    *,
    temperature: float | Tensor = 1.0,
    reduction: Reduction = "mean",
    ignore_index: int = -100,
) -> NKDTerms:
    """Both parts apart, to be logged and weighted by the caller; everything else as in :func:`nkd_loss`.

    Example:
        >>> import torch
        >>> student, teacher = torch.tensor([[0.0, 0.0, 0.0]]), torch.tensor([[4.0, 0.0, -4.0]])
        >>> of_target, others = nkd_terms(student, teacher, torch.tensor([0]))
        >>> round(of_target.item(), 4), round(others.item(), 4)
        (1.0785, 0.6931)
    """
    check_reduction(reduction)
    check_logits(student, teacher)
    student, teacher = working_logits(student, teacher)
    temperature = working_temperature(temperature, student)
    indices, counted = working_classes(target, student, teacher, ignore_index)
    student, teacher = leave_out(student, counted), leave_out(teacher, counted)
    p, q = (odds_of_class(logits, indices, 1.0).log() for logits in (teacher, student))
    of_target = -p.sigmoid() * F.logsigmoid(q)
    is_target = is_class(indices, student.shape[1])
    p_others, q_others = (softmax(logits, temperature, without=is_target) for logits in (teacher, student))
    # All that is added up here is positive: nothing cancels.
    others = -(p_others.weights * q_others.scaled).sum(dim=1) / p_others.total + q_others.total.log()
    terms = (of_target, temperature**2 * others)
    if counted is not None:  # a cross-entropy is not 0 where both networks are the same
        terms = (terms[0].masked_fill(~counted, 0.0), terms[1].masked_fill(~counted, 0.0))
    return NKDTerms(*(reduce(term, reduction, counted) for term in terms))
