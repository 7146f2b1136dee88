"""Cross-view consistency: the teacher's answer to either view is learned on either view, where it is sure enough."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from decant.losses.arguments import check_views, constant, working_logits
from decant.losses.divergence import softmax
from decant.losses.kd import kd_loss
from decant.losses.reduction import Reduction, check_reduction, reduce


class CRLDTerms(NamedTuple):
    """The two parts of the loss, in T^2 times nats, each a scalar or (N, d1, ...).

    Attributes:
        within: the teacher's answer to a view, learned on the same view; both views added up.
        across: the teacher's answer to a view, learned on the other view; both ways added up.
    """

    within: Tensor
    across: Tensor


def crld_loss(
    students: Sequence[Tensor],
    teachers: Sequence[Tensor],
    *,
    within_weight: float = 2.0,
    across_weight: float = 0.5,
    weak_confidence: float = 0.9,
    strong_confidence: float = 0.2,
    temperature: float | Tensor = 4.0,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Cross-view consistency regularisation: classical distillation within and across a weak and a strong view.

    .. math:: \mathrm{CRLD} = \lambda_1 \, [c_w \ge \tau_w] \left(\mathrm{KD}(p_w, q_w) + \mathrm{KD}(p_s, q_s)\right)
        + \lambda_2 \, [c_s \ge \tau_s] \left(\mathrm{KD}(p_w, q_s) + \mathrm{KD}(p_s, q_w)\right)

    with KD = T^2 KL as in :func:`kd_loss`, p the teacher's and q the student's softened softmax on the weak (w) and the
    strong (s) view, and c the teacher's confidence in a view: its largest probability, at temperature 1. A position
    whose confidence is too small adds 0 and is counted in the mean.

    Source: Zhang, Liu, Cai, Ma, *Cross-View Consistency Regularisation for Knowledge Distillation*, ACM Multimedia
    2024, arXiv:2412.16493. Which confidence gates which part is as in the authors' code.

    Args:
        students: logits on the weak and on the strong view, each (N, C) or (N, C, d1, ...) of any floating type, of the
            same positions; at least 2 classes.
        teachers: the same of the teacher; never receive a gradient.
        within_weight: lambda_1.
        across_weight: lambda_2.
        weak_confidence: tau_w, the confidence in the weak view from which on a position counts within views.
        strong_confidence: tau_s, the confidence in the strong view from which on a position counts across views.
        temperature: T > 0: a float, or a tensor as in :func:`kd_loss`.
        reduction: "mean" over all positions, "sum", or "none" for (N, d1, ...).

    Returns:
        T^2 times nats, in float32, or float64 if any logits are.

    Raises:
        TypeError: logits that are not floating point.
        ValueError: not two views, shapes that do not fit, fewer than 2 classes, a temperature that is not positive, an
            unknown reduction.

    Example:
        >>> import torch
        >>> students = torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([[0.0, 0.0, 0.0]])
        >>> teachers = torch.tensor([[4.0, 0.0, -4.0]]), torch.tensor([[2.0, 0.0, 0.0]])
        >>> round(crld_loss(students, teachers).item(), 4)
        7.2346
    """
    within, across = crld_terms(
        students,
        teachers,
        weak_confidence=weak_confidence,
        strong_confidence=strong_confidence,
        temperature=temperature,
        reduction=reduction,
    )
    return within_weight * within + across_weight * across


def crld_terms(
    students: Sequence[Tensor],
    teachers: Sequence[Tensor],
    *,
    weak_confidence: float = 0.9,
    strong_confidence: float = 0.2,
    temperature: float | Tensor = 4.0,
    reduction: Reduction = "mean",
) -> CRLDTerms:
    """Both parts apart, to be logged and weighted by the caller; everything else as in :func:`crld_loss`.

    Example:
        >>> import torch
        >>> students = torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([[0.0, 0.0, 0.0]])
        >>> teachers = torch.tensor([[4.0, 0.0, -4.0]]), torch.tensor([[2.0, 0.0, 0.0]])
        >>> within, across = crld_terms(students, teachers)
        >>> round(within.item(), 4), round(across.item(), 4)
        (2.5524, 4.2595)
    """
    check_reduction(reduction)
    check_views(students, teachers)
    (student_weak, student_strong), (weak, strong) = students, teachers
    parts = []
    for judged, threshold, pairs in (
        (weak, weak_confidence, ((student_weak, weak), (student_strong, strong))),
        (strong, strong_confidence, ((student_strong, weak), (student_weak, strong))),
    ):
        sure = ~(_confidence(judged) < threshold)  # a teacher that says NaN is heard rather than passed over
        one, other = (
            kd_loss(student, teacher, temperature=temperature, reduction="none", mask=sure)
            for student, teacher in pairs
        )
        parts.append(reduce(one + other, reduction))
    return CRLDTerms(*parts)


def _confidence(logits: Tensor) -> Tensor:
    """The largest probability at each position, (N, C, ...) -> (N, ...)."""
    working, _ = working_logits(constant(logits), logits)
    return 1 / softmax(working, 1.0).total
