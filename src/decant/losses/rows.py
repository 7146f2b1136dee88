"""Distillation losses and their gradients written out, block of rows by block of rows.

Autograd on the plain equations keeps about ten tensors of the size of the logits and reads each from memory. Here a
block of rows stays in the cache until its value and its gradient are done, and the only large tensor that is made is
the gradient. With scaled logits z/T, p the teacher's and q the student's softmax, t the target, ^ = without t:

    dTCKD/dz_t = T (q_t - p_t),    dTCKD/dz_i = -T (q_t - p_t) q^_i,    dNCKD/dz_i = T (q^_i - p^_i) and 0 at t.

Rows are (N, C); a target is (N, 1), and without one nothing is left out, which makes NCKD the classical loss.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

BLOCK = 2**16
"""Entries of one network's logits in a block: what is worked on, both networks and twice, stays in a core's cache."""
BLOCK_ELSEWHERE = 2**26
"""The same on other devices, where a launch costs more than a cache saves."""
KEPT = 2**18
"""Entries of logits up to which weights stay until the backward pass: 2 MB, and half of the work there."""
_LOG2_E, _LN_2 = math.log2(math.e), math.log(2.0)


class Rows(NamedTuple):
    """What value and gradient of some rows are made of: p of the teacher, q of the student.

    Attributes:
        p: softmax over the classes but the target, (n, C); 0 at the target.
        q: the same of the student.
        surplus: q_t - p_t, the student's probability of the target minus the teacher's, (n, 1); None without a target.
        tckd: in nats, (n, 1); None without a target.
        nckd: in nats, (n, 1).
    """

    p: Tensor
    q: Tensor
    surplus: Tensor | None
    tckd: Tensor | None
    nckd: Tensor


class Problem(NamedTuple):
    """The rows of a loss.

    Attributes:
        student: logits (N, C) of any floating type.
        teacher: the same.
        target: class indices (N, 1), int64; None for classical distillation.
        ignored: boolean (N, 1), true where a row does not count; None where all do.
        temperature: T.
    """

    student: Tensor
    teacher: Tensor
    target: Tensor | None
    ignored: Tensor | None
    temperature: float

    @property
    def dtype(self) -> torch.dtype:
        """What is worked in: float32, or float64 if either network's logits are."""
        return torch.float64 if torch.float64 in (self.student.dtype, self.teacher.dtype) else torch.float32

    def blocks(self) -> Iterator[tuple[slice, "Problem"]]:
        """The rows in blocks, each with where it lies."""
        rows, step = len(self.student), self._rows_per_block
        for first in range(0, rows, step):
            part = slice(first, min(first + step, rows))
            inside = [None if tensor is None else tensor[part] for tensor in (self.target, self.ignored)]
            yield part, Problem(self.student[part], self.teacher[part], inside[0], inside[1], self.temperature)

    @property
    def is_one_block(self) -> bool:
        """Whether the rows are so few that they need no blocks."""
        return self.student.shape[0] <= self._rows_per_block

    @property
    def is_kept(self) -> bool:
        """Whether the rows are so few that what is measured may stay."""
        return self.student.numel() <= KEPT

    @property
    def _rows_per_block(self) -> int:
        return max(1, (BLOCK if self.student.is_cpu else BLOCK_ELSEWHERE) // self.student.shape[1])

    def counted_rows(self) -> float | Tensor:
        """Rows that count, at least 1."""
        if self.ignored is None:
            return float(max(self.student.shape[0], 1))
        return (~self.ignored).sum().clamp(min=1).to(self.dtype)

    def room(self) -> tuple[Tensor, Tensor]:
        """Memory that all blocks share."""
        classes = self.student.shape[1]
        size = (2, min(self._rows_per_block, len(self.student)), classes)
        return self.student.new_empty(size, dtype=self.dtype), self.student.new_empty(size, dtype=self.dtype)


def measure(problem: Problem, room: tuple[Tensor, Tensor] | None = None) -> Rows:
    """Both divergences of the rows, and what their gradients need; in ``room`` if given."""
    student, teacher, target, ignored, temperature = problem
    # Both networks in one tensor, (2, n, C), and few operations: at the size of a CIFAR batch the time goes into calls,
    # not into numbers.
    if room is None:
        scaled, weights = torch.stack((teacher, student)).to(problem.dtype), None
    else:
        scaled, weights = room[0][:, : len(student)], room[1][:, : len(student)]
        torch.stack((teacher, student), out=scaled)
    if ignored is not None:
        # A student that copies its teacher: value and gradient are then exactly 0, whatever the row held.
        scaled.masked_fill_(ignored, 0.0)
    if target is not None:
        where = target.expand(2, -1, -1)
        own = scaled.gather(2, where)
        scaled.scatter_(2, where, -torch.inf)
    # The shift comes before the division, and is measured without the target: see losses/divergence.py.
    shift = scaled.amax(2, keepdim=True)
    # Powers of 2, because those of e are up to three times slower on some CPUs.
    scaled.sub_(shift).mul_(_LOG2_E / temperature)
    weights = torch.exp2(scaled, out=weights)
    total = weights.sum(2, keepdim=True)
    surplus, tckd = None, None
    if target is not None:
        surplus, tckd = _binary(own.sub_(shift), total, temperature)
        scaled.scatter_(2, where, 0.0)  # from -inf, whose difference would be NaN
    p_total, q_total = total.unbind()
    nckd = (q_total / p_total).log_()
    p, q = weights.mul_(total.reciprocal_()).unbind()
    p_scaled, q_scaled = scaled.unbind()
    gaps = p_scaled.sub_(q_scaled).mul_(p)
    return Rows(p, q, surplus, tckd, nckd.add_(gaps.sum(1, keepdim=True), alpha=_LN_2))


def _binary(own: Tensor, total: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """The target's z and the others' sum of weights, (2, n, 1) -> surplus of the student, divergence, (n, 1) each."""
    against = torch.sub(total.log(), own, alpha=1 / temperature)  # log odds
    # Yes and no next to each other, (2, n, 2), so that each operation is called once for all four.
    odds = against.neg()
    p_log, q_log = F.logsigmoid(torch.cat((odds, against), 2)).unbind()
    tckd = torch.kl_div(q_log, p_log, reduction=0, log_target=True).sum(1, keepdim=True)
    p, q = odds.sigmoid_().unbind()
    return q - p, tckd


def write_gradient(
    rows: Rows, problem: Problem, of_tckd: float | Tensor, of_nckd: float | Tensor, out: Tensor | None = None
) -> Tensor:
    """The gradient of ``of_tckd`` TCKD + ``of_nckd`` NCKD with respect to z/T, (n, C), in ``out`` if given."""
    if rows.surplus is None or problem.target is None:
        return torch.sub(rows.q, rows.p, out=out).mul_(of_nckd)
    own = rows.surplus * of_tckd
    gradient = torch.mul(rows.q, torch.rsub(own, of_nckd), out=out)  # "of_nckd - own" goes through Python, and is slow
    if isinstance(of_nckd, Tensor):
        gradient.addcmul_(rows.p, of_nckd, value=-1)
    else:
        gradient.sub_(rows.p, alpha=of_nckd)
    return gradient.scatter_(1, problem.target, own)


def weighted_rows(
    problem: Problem, alpha: float, beta: float, scale: float | Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """alpha TCKD + beta NCKD of every row, (N, 1), in nats; without a target beta NCKD.

    And, if there is a ``scale``, one number or (N, 1), the gradient with respect to z/T, times it, (N, C).
    """
    if problem.is_one_block:
        return _weighted_block(problem, alpha, beta, scale)
    student, values, room = problem.student, [], problem.room()
    gradient = None if scale is None else student.new_empty(student.shape, dtype=problem.dtype)
    for part, block in problem.blocks():
        inside = scale[part] if isinstance(scale, Tensor) and scale.ndim else scale
        out = None if gradient is None else gradient[part]
        values.append(_weighted_block(block, alpha, beta, inside, room, out)[0])
    return torch.cat(values), gradient


def _weighted_block(
    block: Problem,
    alpha: float,
    beta: float,
    scale: float | Tensor | None,
    room: tuple[Tensor, Tensor] | None = None,
    out: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    rows = measure(block, room)
    gradient = None if scale is None else write_gradient(rows, block, alpha * scale, beta * scale, out)
    value = rows.nckd.mul_(beta)
    return value if rows.tckd is None else value.add_(rows.tckd, alpha=alpha), gradient
