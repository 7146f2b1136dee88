"""The loss alone: forward and backward, from logits to the gradient of the student's."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from benchmarks.options import Options
from benchmarks.timing import Contest, Row
from decant.losses import dkd_loss, dkd_terms

_ALPHA, _BETA, _TEMPERATURE = 1.0, 8.0, 4.0
_LARGE = 2**25
"""Entries of logits from which on memory is told, and compiling is left out: it has nothing to add there."""

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def contests(options: Options) -> Iterator[Contest]:
    """A contest per shape of logits."""
    device = options.parallel().device
    for shapes, dtype in ((options.logits, torch.float32), (options.wide, torch.bfloat16)):
        for rows, classes in shapes:
            generator = torch.Generator(device).manual_seed(0)
            student, teacher = (
                torch.randn(rows, classes, generator=generator, device=device, dtype=dtype).mul_(3) for _ in range(2)
            )
            target = torch.randint(classes, (rows,), generator=generator, device=device)
            yield _contest(student.requires_grad_(), teacher, target, options, moved=dtype == torch.bfloat16)


def _contest(student: Tensor, teacher: Tensor, target: Tensor, options: Options, *, moved: bool) -> Contest:
    """Of losses on these logits; where ``moved``, with the share of a copy's bandwidth at which the least that must be
    moved is moved: both logits read and the gradient written, once."""
    bytes_moved = 3 * student.nbytes if moved else None

    def timed(loss: Loss) -> Callable[[int], object]:
        def work(times: int) -> None:
            for _ in range(times):
                loss(student, teacher, target).backward()
                student.grad = None

        return work

    def floor(times: int) -> None:
        with torch.no_grad():
            for _ in range(times):
                student + teacher

    rows = [Row("dkd_terms, as in training", timed(_terms), bytes_moved), Row("dkd_loss", timed(_loss), bytes_moved)]
    large = student.numel() >= _LARGE
    if options.compiled and not large:
        rows += [
            Row("dkd_terms, compiled", timed(torch.compile(_terms, dynamic=False))),
            Row("dkd_loss, compiled", timed(torch.compile(_loss, dynamic=False))),
        ]
    rows.append(Row("floor: a sum into a fresh output", floor, bytes_moved))
    if moved:
        rows.append(_copy(student.detach()))
    if (reference := options.reference) is not None:
        theirs = reference.dkd_loss
        rows.insert(0, Row("reference", timed(lambda s, t, y: theirs(s, t, y, _ALPHA, _BETA, _TEMPERATURE))))
    return Contest(
        f"logits {tuple(student.shape)}, {str(student.dtype).removeprefix('torch.')}",
        tuple(rows),
        peak=rows[-1].name if moved else None,
        unit=("logits", student.nbytes) if large else None,
    )


def _copy(logits: Tensor) -> Row:
    """The fastest way that the machine has through memory of this size: every byte read once and written once."""
    out = torch.empty_like(logits)

    def work(times: int) -> None:
        for _ in range(times):
            out.copy_(logits)

    return Row("floor: a copy", work, 2 * logits.nbytes)


def _terms(student: Tensor, teacher: Tensor, target: Tensor) -> Tensor:
    tckd, nckd = dkd_terms(student, teacher, target, temperature=_TEMPERATURE)
    return _ALPHA * tckd + _BETA * nckd


def _loss(student: Tensor, teacher: Tensor, target: Tensor) -> Tensor:
    return dkd_loss(student, teacher, target, alpha=_ALPHA, beta=_BETA, temperature=_TEMPERATURE)
