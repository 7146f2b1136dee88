"""Decoupled knowledge distillation: the target class and the other classes, each with a weight of its own."""

import torch
from torch import Tensor

from decant.losses import closed_form
from decant.losses.arguments import (
    as_rows,
    check_logits,
    constant,
    position_shape,
    working_indices,
    working_logits,
    working_probabilities,
    working_temperature,
)
from decant.losses.decoupled import DKDTerms, expected_terms, terms_for_class
from decant.losses.reduction import Reduction, check_reduction, leave_out, reduce
from decant.losses.rows import Problem


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
    problem = _in_closed_form(student, teacher, target, temperature, reduction, ignore_index)
    if problem is not None and not isinstance(alpha, Tensor) and not isinstance(beta, Tensor):
        value = closed_form.weighted(problem, alpha, beta, reduction)
        return value.view(position_shape(student)) if reduction == "none" else value
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
    problem = _in_closed_form(student, teacher, target, temperature, reduction, ignore_index)
    if problem is not None:
        terms = closed_form.separate(problem, reduction)
        shape = position_shape(student)
        return DKDTerms(*(term.view(shape) for term in terms)) if reduction == "none" else terms
    student, teacher = working_logits(student, teacher)
    temperature = working_temperature(temperature, student)
    counted = None
    if target is None:
        terms = terms_for_class(student, teacher, teacher.argmax(dim=1), temperature)
    elif target.is_floating_point():
        terms = expected_terms(student, teacher, working_probabilities(target, student), temperature)
    else:
        indices, counted = working_indices(target, student, ignore_index)
        terms = terms_for_class(leave_out(student, counted), leave_out(teacher, counted), indices, temperature)
    tckd, nckd = (reduce(temperature**2 * term, reduction, counted) for term in terms)
    return DKDTerms(tckd, nckd)


def _in_closed_form(
    student: Tensor,
    teacher: Tensor,
    target: Tensor | None,
    temperature: float | Tensor,
    reduction: str,
    ignore_index: int,
) -> Problem | None:
    """Refuses arguments of the wrong kind; then the problem if there is one class per position, else None."""
    check_reduction(reduction)
    check_logits(student, teacher)
    if target is not None and (not isinstance(target, Tensor) or target.dtype == torch.bool or target.is_complex()):
        found = target.dtype if isinstance(target, Tensor) else type(target).__name__
        raise TypeError(f"target must be None or a tensor of class indices or probabilities, got {found}")
    soft = target is not None and target.is_floating_point()
    if soft or not closed_form.serves(temperature):
        return None
    temperature = float(working_temperature(temperature, student))
    ignored = None
    if target is None:
        indices = teacher.argmax(dim=1)
    else:
        indices, counted = working_indices(target, student, ignore_index)
        ignored = None if counted is None else ~counted.reshape(-1, 1)
    return Problem(as_rows(student), as_rows(constant(teacher)), indices.reshape(-1, 1), ignored, temperature)
