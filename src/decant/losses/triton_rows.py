"""The rows of :mod:`decant.losses.rows` as kernels for CUDA: one program per row, which reads its logits twice.

The first pass keeps a running maximum and sum of both networks, the second knows them and works out the divergence
and, where it is wanted at once, the gradient. All sums are in float32, whatever the logits' type.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from decant.losses.rows import Problem

_IGNORED = -1
_NO_TARGET = -2
_LARGEST_BLOCK = 4096


@triton.jit
def _log_sigmoid(x):  # type: ignore[no-untyped-def]
    return tl.minimum(x, 0.0) - tl.log(1.0 + tl.exp(-tl.abs(x)))


@triton.jit
def _running(largest, total, logits, inverse_temperature):  # type: ignore[no-untyped-def]
    """Maximum and sum of exp((logits - maximum) / T), with one more block of logits."""
    now = tl.maximum(largest, tl.max(logits, axis=0))
    # All were left out so far: any number serves, but -inf - -inf would not.
    shift = tl.where(now == -float("inf"), 0.0, now)
    kept = total * tl.exp((largest - shift) * inverse_temperature)
    return now, kept + tl.sum(tl.exp((logits - shift) * inverse_temperature), axis=0)


@triton.jit  # type: ignore[untyped-decorator]
def _forward(  # type: ignore[no-untyped-def]
    student,
    teacher,
    target,
    terms,
    statistics,
    gradient,
    scale,
    rows,
    classes,
    student_row,
    student_class,
    teacher_row,
    teacher_class,
    inverse_temperature,
    alpha,
    beta,
    write_gradient: tl.constexpr,
    block: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    own = tl.load(target + row)
    student += row * student_row
    teacher += row * teacher_row
    q_max = -float("inf")
    p_max = -float("inf")
    q_sum = 0.0
    p_sum = 0.0
    for first in range(0, classes, block):
        at = first + tl.arange(0, block)
        part = (at < classes) & (at != own)
        s = tl.load(student + at.to(tl.int64) * student_class, mask=part, other=-float("inf")).to(tl.float32)
        t = tl.load(teacher + at.to(tl.int64) * teacher_class, mask=part, other=-float("inf")).to(tl.float32)
        q_max, q_sum = _running(q_max, q_sum, s, inverse_temperature)
        p_max, p_sum = _running(p_max, p_sum, t, inverse_temperature)

    q_yes = 0.0
    p_yes = 0.0
    tckd = 0.0
    if own >= 0:
        q_own = (tl.load(student + own * student_class).to(tl.float32) - q_max) * inverse_temperature
        p_own = (tl.load(teacher + own * teacher_class).to(tl.float32) - p_max) * inverse_temperature
        q_odds = q_own - tl.log(q_sum)
        p_odds = p_own - tl.log(p_sum)
        q_yes = tl.sigmoid(q_odds)
        p_yes = tl.sigmoid(p_odds)
        of_yes = _log_sigmoid(p_odds) - _log_sigmoid(q_odds)
        of_no = _log_sigmoid(-p_odds) - _log_sigmoid(-q_odds)
        against = tl.exp(-p_own) * p_sum
        tckd = of_yes / (1.0 + against) + of_no / (1.0 + 1.0 / against)
    surplus = q_yes - p_yes

    gap = 0.0
    factor = tl.load(scale)
    of_q = factor * (beta - alpha * surplus) / q_sum
    of_p = factor * beta / p_sum
    for first in range(0, classes, block):
        at = first + tl.arange(0, block)
        part = (at < classes) & (at != own)
        s = tl.load(student + at.to(tl.int64) * student_class, mask=part, other=q_max).to(tl.float32) - q_max
        t = tl.load(teacher + at.to(tl.int64) * teacher_class, mask=part, other=p_max).to(tl.float32) - p_max
        weight = tl.exp(t * inverse_temperature)
        gap += tl.sum(tl.where(part, weight * ((t - s) * inverse_temperature), 0.0), axis=0)
        if write_gradient:
            value = of_q * tl.exp(s * inverse_temperature) - of_p * weight
            value = tl.where(at == own, factor * alpha * surplus, value)
            value = tl.where(own == -1, 0.0, value)
            tl.store(gradient + row * classes + at, value, mask=at < classes)
    nckd = gap / p_sum + tl.log(q_sum / p_sum)
    counts = own != -1
    tl.store(terms + row, tl.where(counts, tckd, 0.0))
    tl.store(terms + rows + row, tl.where(counts, nckd, 0.0))
    tl.store(statistics + row, q_max)
    tl.store(statistics + rows + row, q_sum)
    tl.store(statistics + 2 * rows + row, p_max)
    tl.store(statistics + 3 * rows + row, p_sum)
    tl.store(statistics + 4 * rows + row, surplus)


@triton.jit  # type: ignore[untyped-decorator]
def _backward(  # type: ignore[no-untyped-def]
    student,
    teacher,
    target,
    statistics,
    gradient,
    of_tckd,
    of_nckd,
    upstream_row,
    rows,
    classes,
    student_row,
    student_class,
    teacher_row,
    teacher_class,
    inverse_temperature,
    block: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    first = tl.program_id(1) * block
    own = tl.load(target + row)
    q_max = tl.load(statistics + row)
    q_sum = tl.load(statistics + rows + row)
    p_max = tl.load(statistics + 2 * rows + row)
    p_sum = tl.load(statistics + 3 * rows + row)
    alpha = tl.load(of_tckd + row * upstream_row)
    beta = tl.load(of_nckd + row * upstream_row)
    surplus = alpha * tl.load(statistics + 4 * rows + row)
    at = first + tl.arange(0, block)
    part = (at < classes) & (at != own)
    s = (
        tl.load(student + row * student_row + at.to(tl.int64) * student_class, mask=part, other=q_max).to(tl.float32)
        - q_max
    )
    t = (
        tl.load(teacher + row * teacher_row + at.to(tl.int64) * teacher_class, mask=part, other=p_max).to(tl.float32)
        - p_max
    )
    q = tl.exp(s * inverse_temperature) / q_sum
    p = tl.exp(t * inverse_temperature) / p_sum
    value = (beta - surplus) * q - beta * p
    value = tl.where(at == own, surplus, value)
    value = tl.where(own == -1, 0.0, value)
    tl.store(gradient + row * classes + at, value, mask=at < classes)


def forward(
    problem: Problem,
    *,
    gradient: Tensor | None = None,
    alpha: float = 0.0,
    beta: float = 0.0,
    scale: float | Tensor = 1.0,
) -> tuple[Tensor, Tensor]:
    """TCKD and NCKD of every row, (2, N), in nats, and what :func:`backward` needs of them, (5, N).

    Into ``gradient`` (N, C), contiguous, goes if given the gradient of alpha TCKD + beta NCKD with respect to z/T,
    times ``scale``. Without a target TCKD is 0 and NCKD the classical divergence.
    """
    student, teacher = problem.student, problem.teacher
    rows, classes = student.shape
    terms = torch.empty((2, rows), dtype=torch.float32, device=student.device)
    statistics = torch.empty((5, rows), dtype=torch.float32, device=student.device)
    if rows == 0:
        return terms, statistics
    scale = torch.as_tensor(scale, dtype=torch.float32, device=student.device)
    with _on(student):
        _forward[(rows,)](
            student,
            teacher,
            _marked(problem),
            terms,
            statistics,
            terms if gradient is None else gradient,
            scale,
            rows,
            classes,
            *student.stride(),
            *teacher.stride(),
            1.0 / problem.temperature,
            alpha,
            beta,
            write_gradient=gradient is not None,
            block=_block(classes),
        )
    return terms, statistics


def backward(problem: Problem, statistics: Tensor, of_tckd: Tensor, of_nckd: Tensor) -> Tensor:
    """The gradient with respect to z/T for upstream ones of both terms, each of one number or (N, 1).

    In the type of the student: what a loss scaler multiplies has been multiplied by now.
    """
    student, teacher = problem.student, problem.teacher
    rows, classes = student.shape
    gradient = torch.empty((rows, classes), dtype=student.dtype, device=student.device)
    if rows == 0:
        return gradient
    block = _block(classes)
    with _on(student):
        _backward[(rows, triton.cdiv(classes, block))](
            student,
            teacher,
            _marked(problem),
            statistics,
            gradient,
            of_tckd.contiguous(),
            of_nckd.contiguous(),
            0 if of_tckd.numel() == 1 else 1,
            rows,
            classes,
            *student.stride(),
            *teacher.stride(),
            1.0 / problem.temperature,
            block=block,
        )
    return gradient


def _on(tensor: Tensor) -> AbstractContextManager[Any]:
    """Kernels are launched on the current device, which need not be the tensors'."""
    return torch.cuda.device(tensor.device) if tensor.is_cuda else nullcontext()


def _block(classes: int) -> int:
    return min(_LARGEST_BLOCK, int(triton.next_power_of_2(classes)))


def _marked(problem: Problem) -> Tensor:
    """Class indices (N,), with marks where a row has none or does not count."""
    rows = len(problem.student)
    if problem.target is None:
        target = problem.student.new_full((rows,), _NO_TARGET, dtype=torch.int64)
    else:
        target = problem.target.reshape(rows)
    return target if problem.ignored is None else target.masked_fill(problem.ignored.reshape(rows), _IGNORED)
