"""The losses as autograd functions: values and gradients from :mod:`decant.losses.rows` instead of a graph."""

import functools
import importlib.util
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function, forward_ad

from decant.losses.decoupled import DKDTerms, terms_for_class
from decant.losses.divergence import kl, softmax
from decant.losses.reduction import Reduction, leave_out, reduce
from decant.losses.rows import Problem, Rows, measure, weighted_rows, write_gradient


def serves(temperature: float | Tensor) -> bool:
    """Whether the closed form can stand in for the plain equations.

    It cannot where the temperature learns, and is not needed where a compiler does this work itself; the transforms of
    torch.func want equations that they can look into.
    """
    return (
        not isinstance(temperature, Tensor)
        and not torch.compiler.is_compiling()
        and not torch._C._are_functorch_transforms_active()
        and forward_ad._current_level < 0
    )


def weighted(problem: Problem, alpha: float, beta: float, reduction: Reduction) -> Tensor:
    """T^2 (alpha TCKD + beta NCKD), reduced; without a target beta NCKD. The gradient is made along with the value."""
    if torch.is_grad_enabled() and problem.student.requires_grad:
        return _Weighted.apply(*problem, alpha, beta, reduction)  # type: ignore[no-any-return]  # untyped in torch
    return _weighted_values(problem, alpha, beta, reduction)[0]


def separate(problem: Problem, reduction: Reduction) -> DKDTerms:
    """T^2 TCKD and T^2 NCKD, each reduced. One gradient is made in the backward pass, from both upstream ones."""
    if torch.is_grad_enabled() and problem.student.requires_grad:
        return DKDTerms(*_Separate.apply(*problem, reduction))
    tckd, nckd, _ = _separate_values(problem, reduction)
    return DKDTerms(tckd, nckd)


class _Weighted(Function):
    @staticmethod
    def forward(
        ctx: Any,
        student: Tensor,
        teacher: Tensor,
        target: Tensor | None,
        ignored: Tensor | None,
        temperature: float,
        alpha: float,
        beta: float,
        reduction: Reduction,
    ) -> Tensor:
        problem = Problem(student, teacher, target, ignored, temperature)
        ctx.save_for_backward(student, teacher, target, ignored)
        ctx.settings = temperature, alpha, beta, reduction
        value, ctx.gradient = _weighted_values(problem, alpha, beta, reduction, ahead=True)
        return value

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Any:
        temperature, alpha, beta, reduction = ctx.settings
        # Given away, so that it can be scaled in place; a second pass through the same graph makes another.
        gradient, ctx.gradient = ctx.gradient, None
        if torch.is_grad_enabled() or gradient is None:
            student, teacher, target, ignored = ctx.saved_tensors
            problem = Problem(student, teacher, target, ignored, temperature)
            if torch.is_grad_enabled():
                tckd, nckd = _plain(problem, reduction)
                value = beta * nckd if tckd is None else alpha * tckd + beta * nckd
                return _differentiable(value, problem.student, upstream), *(None,) * 7
            _, gradient = _weighted_values(problem, alpha, beta, reduction, ahead=True)
            assert gradient is not None
        if upstream.ndim == 1:
            upstream = upstream.unsqueeze(1)
        if _are_many(upstream):  # there is room for one
            gradient = gradient * upstream
        elif upstream.is_cuda or upstream.ndim or upstream.item() != 1:  # the value is not worth waiting for on a GPU
            gradient.mul_(upstream)
        return gradient, *(None,) * 7


class _Separate(Function):
    @staticmethod
    def forward(
        ctx: Any,
        student: Tensor,
        teacher: Tensor,
        target: Tensor | None,
        ignored: Tensor | None,
        temperature: float,
        reduction: Reduction,
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(student, teacher, target, ignored)
        ctx.settings = temperature, reduction
        tckd, nckd, ctx.kept = _separate_values(Problem(student, teacher, target, ignored, temperature), reduction)
        return tckd, nckd

    @staticmethod
    def backward(ctx: Any, of_tckd: Tensor, of_nckd: Tensor) -> Any:
        temperature, reduction = ctx.settings
        student, teacher, target, ignored = ctx.saved_tensors
        problem = Problem(student, teacher, target, ignored, temperature)
        if torch.is_grad_enabled():
            terms, upstream = _plain(problem, reduction), (of_tckd, of_nckd)
            return _differentiable(terms, problem.student, upstream), *(None,) * 5
        factor = temperature / (problem.counted_rows() if reduction == "mean" else 1.0)
        many = _are_many(of_tckd) or _are_many(of_nckd)
        if isinstance(ctx.kept, Tensor):
            own, others = ((of * factor).view(-1, 1) for of in (of_tckd, of_nckd))
            return _kernels().backward(problem, ctx.kept, own, others), *(None,) * 5
        if reduction == "none":
            own, others = (of_tckd * factor).unsqueeze(1), (of_nckd * factor).unsqueeze(1)
        elif of_tckd.is_cpu and not many:
            # Numbers are quicker to work with, where reading them waits for nothing.
            own, others = of_tckd.item() * factor, of_nckd.item() * factor
        else:
            own, others = of_tckd * factor, of_nckd * factor
        if len(ctx.kept) == 1 or many:  # many do not fit where the blocks of one are written
            rows = ctx.kept[0] if len(ctx.kept) == 1 else measure(problem)
            return write_gradient(rows, problem, own, others), *(None,) * 5
        gradient = torch.empty_like(problem.student, dtype=problem.dtype, memory_format=torch.contiguous_format)
        room = None if ctx.kept else problem.room()
        for number, (part, block) in enumerate(problem.blocks()):
            rows = ctx.kept[number] if ctx.kept else measure(block, room)
            scales = (own[part], others[part]) if reduction == "none" else (own, others)
            write_gradient(rows, block, *scales, out=gradient[part])
        return gradient, *(None,) * 5


def _are_many(upstream: Tensor) -> bool:
    """Whether this stands for many upstream gradients at once: ``is_grads_batched``, whose numbers cannot be read."""
    return torch._C._functorch.is_legacy_batchedtensor(upstream)


def _kernels() -> Any:
    """The module of CUDA kernels; only where it is needed, because Triton is slow to import and not everywhere."""
    from decant.losses import triton_rows

    return triton_rows


@functools.cache
def _triton_is_there() -> bool:
    return importlib.util.find_spec("triton") is not None


def _kernels_serve(problem: Problem) -> bool:
    return problem.student.is_cuda and problem.dtype == torch.float32 and _triton_is_there()


def _weighted_values(
    problem: Problem, alpha: float, beta: float, reduction: Reduction, *, ahead: bool = False
) -> tuple[Tensor, Tensor | None]:
    """The value, and, if it shall be made ``ahead`` of its upstream one, the gradient."""
    divisor = problem.counted_rows() if reduction == "mean" else 1.0
    scale = problem.temperature / divisor
    if _kernels_serve(problem):
        gradient = _room_for_gradient(problem) if ahead else None
        (tckd, nckd), _ = _kernels().forward(problem, gradient=gradient, alpha=alpha, beta=beta, scale=scale)
        values = (alpha * tckd + beta * nckd).unsqueeze(1)
    else:
        values, gradient = weighted_rows(problem, alpha, beta, scale if ahead else None)
    return _reduced(values, problem.temperature**2 / divisor, reduction), gradient


def _room_for_gradient(problem: Problem) -> Tensor:
    """Where a kernel writes a gradient. float16 gets it in float32: a loss scaler is to come."""
    dtype = torch.bfloat16 if problem.student.dtype == torch.bfloat16 else torch.float32
    return torch.empty_like(problem.student, dtype=dtype, memory_format=torch.contiguous_format)


def _separate_values(problem: Problem, reduction: Reduction) -> tuple[Tensor, Tensor, list[Rows] | Tensor]:
    """Both terms, and what stays until the backward pass: blocks if they are few, or the statistics of a kernel."""
    factor = problem.temperature**2 / (problem.counted_rows() if reduction == "mean" else 1.0)
    if _kernels_serve(problem):
        terms, statistics = _kernels().forward(problem)
        both = [_reduced(term.unsqueeze(1), factor, reduction) for term in terms]
        return both[0], both[1], statistics
    if problem.is_one_block and problem.is_kept:
        rows = measure(problem)
        assert rows.tckd is not None
        return _reduced(rows.tckd, factor, reduction), _reduced(rows.nckd, factor, reduction), [rows]
    tckd, nckd, kept = [], [], []
    room = None if problem.is_kept else problem.room()
    for _, block in problem.blocks():
        rows = measure(block, room)
        assert rows.tckd is not None
        tckd.append(rows.tckd)
        nckd.append(rows.nckd)
        if problem.is_kept:
            kept.append(rows)
    return _reduced(torch.cat(tckd), factor, reduction), _reduced(torch.cat(nckd), factor, reduction), kept


def _reduced(values: Tensor, factor: float | Tensor, reduction: Reduction) -> Tensor:
    """``factor`` times the sum of (N, 1), or (N,)."""
    return (values.squeeze(1) if reduction == "none" else values.sum()) * factor


def _plain(problem: Problem, reduction: Reduction) -> tuple[Tensor | None, Tensor]:
    """The same from differentiable equations: what a second derivative is taken of."""
    student, teacher, target, ignored, temperature = problem
    student, teacher = student.to(problem.dtype), teacher.to(problem.dtype)
    counted = None
    if ignored is not None:
        counted = ~ignored.squeeze(1)
        student, teacher = leave_out(student, counted), leave_out(teacher, counted)
    if target is None:
        divergence = kl(softmax(teacher, temperature), softmax(student, temperature))
        return None, reduce(temperature**2 * divergence, reduction, counted)
    terms = terms_for_class(student, teacher, target.squeeze(1), temperature)
    tckd, nckd = (reduce(temperature**2 * term, reduction, counted) for term in terms)
    return tckd, nckd


def _differentiable(outputs: Any, student: Tensor, upstream: Any) -> Tensor:
    (gradient,) = torch.autograd.grad(outputs, student, upstream, create_graph=True)
    return gradient
