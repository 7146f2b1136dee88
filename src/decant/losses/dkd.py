"""Decoupled knowledge distillation: the target class and the other classes, each with a weight of its own."""

from typing import NamedTuple

import torch
from torch import Tensor

from decant.losses.arguments import working_indices, working_logits, working_probabilities, working_temperature
from decant.losses.divergence import Odds, binary_kl, is_class, kl, softmax, sum_of_others
from decant.losses.reduction import Reduction, check_reduction, leave_out, reduce


class DKDTerms(NamedTuple):
    """The two halves of decoupled distillation, in T^2 times nats, each a scalar or (N, d1, ...).

    Attributes:
        tckd: target-class distillation: how sure is the teacher of the target?
        nckd: non-target-class distillation: how does it rank the other classes?
    """

    tckd: Tensor
    nckd: Tensor


def dkd_loss(
    student: Tensor,
    teacher: Tensor,
    target: Tensor | None,
    *,
    alpha: float = 1.0,
    beta: float = 8.0,
    temperature: float | Tensor = 4.0,
    reduction: Reduction = "mean",
    ignore_index: int = -100,
) -> Tensor:
    r"""Decoupled knowledge distillation: alpha TCKD + beta NCKD.

    .. math:: \mathrm{DKD} = T^2 \left( \alpha \, \mathrm{KL}(b(p) \,\|\, b(q))
        + \beta \, \mathrm{KL}(\hat p \,\|\, \hat q) \right)

    with p and q the softmax of the teacher's and the student's logits over T, b(p) = (p_t, 1 - p_t) for the target
    class t, and p^ the probabilities of the other classes, divided by their sum. Classical distillation is the same
    with alpha 1 and beta 1 - p_t: it attends least to the other classes where the teacher is surest.

    Source: Zhao, Cui, Song, Qiu, Liang, *Decoupled Knowledge Distillation*, CVPR 2022, arXiv:2203.08679.

    Args:
        student: logits (N, C) or (N, C, d1, ...) of any floating type; at least 2 classes. With 2, NCKD is exactly 0.
        teacher: logits of the same shape; never receives a gradient.
        target: class indices (N, d1, ...) of an integer type; or probabilities (N, C, d1, ...) of a floating type,
            constants to autograd, under which the loss is the expectation over the target class (mixup, label
            smoothing); or None for the teacher's own arg-max.
        alpha: weight of TCKD.
        beta: weight of NCKD.
        temperature: T > 0. A float, or a tensor (0-d or broadcasting to the positions (N, d1, ...)), which then
            receives the full derivative: through both softmaxes and the factor T^2.
        reduction: "mean" over the positions that count (0 if none does), "sum", or "none" for (N, d1, ...).
        ignore_index: the class index of positions that do not count; without meaning for other kinds of target.

    Returns:
        T^2 times nats, in float32, or float64 if either network's logits are. NaN logits at a position that counts
        give NaN, infinite ones NaN or infinity; at a position that does not count they change nothing.

    Raises:
        TypeError: logits that are not floating point, a target that is neither integer nor floating.
        ValueError: shapes that do not fit, fewer than 2 classes, a class index out of range, probabilities that are
            negative or do not sum to 1 within 0.01, a temperature that is not positive, an unknown reduction. What
            depends on a tensor's entries is asserted asynchronously on CUDA and under compile.

    Example:
        >>> import torch
        >>> student, teacher = torch.tensor([[0.0, 0.0, 0.0]]), torch.tensor([[4.0, 0.0, -4.0]])
        >>> round(dkd_loss(student, teacher, torch.tensor([0])).item(), 4)
        17.8661
    """
    tckd, nckd = dkd_terms(
        student, teacher, target, temperature=temperature, reduction=reduction, ignore_index=ignore_index
    )
    return alpha * tckd + beta * nckd


def dkd_terms(
    student: Tensor,
    teacher: Tensor,
    target: Tensor | None,
    *,
    temperature: float | Tensor = 4.0,
    reduction: Reduction = "mean",
    ignore_index: int = -100,
) -> DKDTerms:
    """TCKD and NCKD apart, to be logged and weighted by the caller; everything else as in :func:`dkd_loss`.

    Example:
        >>> import torch
        >>> student, teacher = torch.tensor([[0.0, 0.0, 0.0]]), torch.tensor([[4.0, 0.0, -4.0]])
        >>> tckd, nckd = dkd_terms(student, teacher, torch.tensor([0]))
        >>> round(tckd.item(), 4), round(nckd.item(), 4)
        (3.6652, 1.7751)
    """
    check_reduction(reduction)
    student, teacher = working_logits(student, teacher)
    temperature = working_temperature(temperature, student)
    counted = None
    if target is None:
        terms = _terms_for_class(student, teacher, teacher.argmax(dim=1), temperature)
    elif not isinstance(target, Tensor) or target.dtype == torch.bool or target.is_complex():
        found = target.dtype if isinstance(target, Tensor) else type(target).__name__
        raise TypeError(f"target must be None or a tensor of class indices or probabilities, got {found}")
    elif target.is_floating_point():
        terms = _expected_terms(student, teacher, working_probabilities(target, student), temperature)
    else:
        indices, counted = working_indices(target, student, ignore_index)
        terms = _terms_for_class(leave_out(student, counted), leave_out(teacher, counted), indices, temperature)
    tckd, nckd = (reduce(temperature**2 * term, reduction, counted) for term in terms)
    return DKDTerms(tckd, nckd)


def _terms_for_class(student: Tensor, teacher: Tensor, target: Tensor, temperature: float | Tensor) -> DKDTerms:
    """Both divergences, in nats per position (N, ...), for class indices (N, ...)."""
    is_target = is_class(target, student.shape[1])
    p, q = (softmax(logits, temperature, without=is_target) for logits in (teacher, student))
    p_odds, q_odds = (Odds(s.scaled.gather(1, target.unsqueeze(1)).squeeze(1), others=s.total) for s in (p, q))
    return DKDTerms(tckd=binary_kl(p_odds, q_odds), nckd=kl(p, q))


def _expected_terms(student: Tensor, teacher: Tensor, probabilities: Tensor, temperature: float | Tensor) -> DKDTerms:
    """The expectation of ``_terms_for_class`` under probabilities (N, C, ...), in O(C) per position.

    Leaving class t out of a sum is harmless unless t outweighs all the rest, which can happen only at a network's top
    class. Those two (often one) are computed by themselves; this also lets all others share one shift per network.
    """
    classes = student.shape[1]
    teacher_top, student_top = teacher.argmax(dim=1), student.argmax(dim=1)
    at_teacher_top = _terms_for_class(student, teacher, teacher_top, temperature)
    at_student_top = _terms_for_class(student, teacher, student_top, temperature)
    teacher_top_share = probabilities.gather(1, teacher_top.unsqueeze(1)).squeeze(1)
    student_top_share = probabilities.gather(1, student_top.unsqueeze(1)).squeeze(1)
    student_top_share = student_top_share.masked_fill(student_top == teacher_top, 0.0)  # do not count one class twice

    apart = is_class(teacher_top, classes) | is_class(student_top, classes)
    share = probabilities.masked_fill(apart, 0.0)
    p, q = softmax(teacher, temperature), softmax(student, temperature)
    # At classes computed apart the sum may underflow; 1 keeps what is multiplied by their zero share finite.
    p_others, q_others = (sum_of_others(s.weights).masked_fill(apart, 1.0) for s in (p, q))
    tckd = (share * binary_kl(Odds(p.scaled, p_others), Odds(q.scaled, q_others))).sum(dim=1)

    # sum_t share_t KL(p^ || q^ without t), with E_p^[scaled_p - scaled_q] summed over t first: how often class i is
    # met as an "other" class is a sum of positive numbers, whereas leaving class t out of a finished expectation
    # would cancel wherever the student rules t out.
    met_as_other = sum_of_others(share / p_others)
    nckd = (met_as_other * p.weights * (p.scaled - q.scaled) + share * (q_others / p_others).log()).sum(dim=1)

    return DKDTerms(
        tckd=tckd + teacher_top_share * at_teacher_top.tckd + student_top_share * at_student_top.tckd,
        nckd=nckd + teacher_top_share * at_teacher_top.nckd + student_top_share * at_student_top.nckd,
    )
