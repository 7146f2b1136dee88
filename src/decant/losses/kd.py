"""Classical knowledge distillation."""

from torch import Tensor

from decant.losses import closed_form
from decant.losses.arguments import (
    as_rows,
    check_logits,
    checked_mask,
    constant,
    position_shape,
    working_logits,
    working_temperature,
)
from decant.losses.divergence import kl, softmax
from decant.losses.reduction import Reduction, check_reduction, leave_out, reduce
from decant.losses.rows import Problem


def kd_loss(
    student: Tensor,
    teacher: Tensor,
    *,
    temperature: float | Tensor = 4.0,
    reduction: Reduction = "mean",
    mask: Tensor | None = None,
) -> Tensor:
    r"""Classical knowledge distillation: the divergence of the student's softened softmax from the teacher's.

    .. math:: \mathrm{KD} = T^2 \, \mathrm{KL}(p \,\|\, q), \quad
        p = \mathrm{softmax}(z_\mathrm{teacher} / T), \; q = \mathrm{softmax}(z_\mathrm{student} / T)

    Source: Hinton, Vinyals, Dean, *Distilling the Knowledge in a Neural Network*, arXiv:1503.02531.

    Args:
        student: logits (N, C) or (N, C, d1, ...) of any floating type; at least 2 classes.
        teacher: logits of the same shape; never receives a gradient.
        temperature: T > 0. A float, or a tensor (0-d or broadcasting to the positions (N, d1, ...)), which then
            receives the full derivative: through both softmaxes and the factor T^2.
        reduction: "mean" over the positions that count (0 if none does), "sum", or "none" for (N, d1, ...).
        mask: boolean (N, d1, ...), true where a position counts; None counts all.

    Returns:
        T^2 times nats, in float32, or float64 if either network's logits are. NaN logits at a position that counts
        give NaN, infinite ones NaN or infinity; at a position that does not count they change nothing.

    Raises:
        TypeError: logits that are not floating point, a mask that is not boolean.
        ValueError: shapes that do not fit, fewer than 2 classes, a temperature that is not positive, an unknown
            reduction. The entries of a temperature tensor are asserted asynchronously on CUDA and under compile.

    Example:
        >>> import torch
        >>> student, teacher = torch.tensor([[0.0, 0.0, 0.0]]), torch.tensor([[4.0, 0.0, -4.0]])
        >>> round(kd_loss(student, teacher, temperature=4.0).item(), 4)
        4.2595
    """
    check_reduction(reduction)
    check_logits(student, teacher)
    if mask is not None:
        mask = checked_mask(mask, student)
    if closed_form.serves(temperature):
        ignored = None if mask is None else ~mask.reshape(-1, 1)
        t = float(working_temperature(temperature, student))
        problem = Problem(as_rows(student), as_rows(constant(teacher)), None, ignored, t)
        value = closed_form.weighted(problem, 0.0, 1.0, reduction)
        return value.view(position_shape(student)) if reduction == "none" else value
    student, teacher = working_logits(student, teacher)
    temperature = working_temperature(temperature, student)
    student, teacher = leave_out(student, mask), leave_out(teacher, mask)
    divergence = kl(softmax(teacher, temperature), softmax(student, temperature))
    return reduce(temperature**2 * divergence, reduction, mask)
