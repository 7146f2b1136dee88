"""Transformed teacher matching: the teacher softened, the student not."""

from torch import Tensor

from decant.losses.arguments import check_logits, checked_mask, working_logits, working_temperature
from decant.losses.divergence import kl, softmax
from decant.losses.reduction import Reduction, check_reduction, leave_out, reduce


def ttm_loss(
    student: Tensor,
    teacher: Tensor,
    *,
    gamma: float = 0.1,
    weighted: bool = False,
    reduction: Reduction = "mean",
    mask: Tensor | None = None,
) -> Tensor:
    r"""Transformed teacher matching: divergence of the student from a power of the teacher's probabilities.

    .. math:: \mathrm{TTM} = \mathrm{KL}(p^{(\gamma)} \,\|\, q), \quad
        p^{(\gamma)}_i = p_i^\gamma / U, \; U = \sum_j p_j^\gamma, \quad \mathrm{WTTM} = U \cdot \mathrm{TTM}

    with p and q the softmax of the teacher's and the student's logits. The power is the teacher's softmax at
    T = 1 / gamma; the student keeps its own sharpness, and there is no factor T^2. U goes from 1 (a teacher that is
    sure) to C^(1 - gamma) (one that knows nothing), for gamma below 1.

    Source: Zheng, Yang, *Knowledge Distillation Based on Transformed Teacher Matching*, ICLR 2024, arXiv:2402.11148.

    Args:
        student: logits (N, C) or (N, C, d1, ...) of any floating type; at least 2 classes.
        teacher: logits of the same shape; never receives a gradient.
        gamma: exponent of the teacher's probabilities, above 0.
        weighted: multiply every position by its U (WTTM).
        reduction: "mean" over the positions that count (0 if none does), "sum", or "none" for (N, d1, ...).
        mask: boolean (N, d1, ...), true where a position counts; None counts all.

    Returns:
        Nats, times U if weighted; float32, or float64 if either network's logits are.

    Raises:
        TypeError: logits that are not floating point, a gamma that is no number, a mask that is not boolean.
        ValueError: shapes that do not fit, fewer than 2 classes, a gamma that is not positive, an unknown reduction.

    Example:
        >>> import torch
        >>> student, teacher = torch.tensor([[0.0, 0.0, 0.0]]), torch.tensor([[4.0, 0.0, -4.0]])
        >>> loss, weighted = ttm_loss(student, teacher, gamma=0.5), ttm_loss(student, teacher, gamma=0.5, weighted=True)
        >>> round(loss.item(), 4), round(weighted.item(), 4)
        (0.6576, 0.7516)
    """
    check_reduction(reduction)
    check_logits(student, teacher)
    if isinstance(gamma, bool) or not isinstance(gamma, (int, float)):
        raise TypeError(f"gamma must be a number, got {type(gamma).__name__}")
    if not 0 < gamma < float("inf"):
        raise ValueError(f"gamma must be positive and finite, got {gamma}")
    if mask is not None:
        mask = checked_mask(mask, student)
    student, teacher = working_logits(student, teacher)
    student, teacher = leave_out(student, mask), leave_out(teacher, mask)
    p = softmax(teacher, working_temperature(1 / gamma, teacher))
    value = kl(p, softmax(student, 1.0))
    if weighted:
        value = value * (p.total / softmax(teacher, 1.0).total ** gamma)
    return reduce(value, reduction, mask)
