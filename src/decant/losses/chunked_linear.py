"""Decoupled distillation of a classifier too wide for its logits to be held: the last layer and the loss in one."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from decant.losses.arguments import constant, working_indices, working_temperature
from decant.losses.reduction import Reduction, check_reduction
from decant.losses.rows import Problem, weighted_rows

SMALLEST_CHUNK = 2**22
"""Logits per chunk below which products of matrices would be too small to be fast."""


def chunked_linear_dkd_loss(
    hidden: Tensor,
    weight: Tensor,
    teacher: Tensor | tuple[Tensor, Tensor],
    target: Tensor,
    *,
    alpha: float = 1.0,
    beta: float = 8.0,
    temperature: float = 4.0,
    reduction: Reduction = "mean",
    ignore_index: int = -100,
    rows_per_chunk: int | None = None,
) -> Tensor:
    r"""``dkd_loss(hidden @ weight.T, teacher, target)`` that never holds the logits of all rows.

    For vocabularies: the logits of 8,192 tokens over 128,256 classes take 4 GB in float32, and as much again each for
    the teacher's and the gradient. Here a chunk of rows goes from hidden state to gradient before the next one begins,
    so that beside the gradients of ``hidden`` and ``weight`` only one chunk of logits per network exists at a time.

    Source: Zhao, Cui, Song, Qiu, Liang, *Decoupled Knowledge Distillation*, CVPR 2022, arXiv:2203.08679.

    Args:
        hidden: what goes into the student's last layer, (N, D), of any floating type; (batch, length, D) flattened.
        weight: of the student's last layer, (C, D) as in ``nn.Linear``, without bias; at least 2 classes.
        teacher: the teacher's logits (N, C); or the pair (hidden, weight) of its last layer, (N, E) and (C, E). Never
            receives a gradient.
        target: class indices (N,) of an integer type.
        alpha: weight of TCKD.
        beta: weight of NCKD.
        temperature: T > 0.
        reduction: "mean" over the rows that count (0 if none does), "sum", or "none" for (N,), which makes the logits
            twice: once for the values, once for the gradient.
        ignore_index: the class index of rows that do not count.
        rows_per_chunk: how many rows are worked on at once; by default as many as make the chunk's logits about as
            large as ``hidden``, or 4 million of them.

    Returns:
        T^2 times nats, as :func:`dkd_loss` gives. Has no second derivative.

    Raises:
        TypeError: arguments that are not floating-point tensors, a target that is not integer.
        ValueError: shapes that do not fit, a class index out of range, a temperature that is not positive, an unknown
            reduction.

    Example:
        >>> import torch
        >>> hidden, weight = torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, -1.0]])
        >>> teacher = torch.tensor([[4.0, 0.0, -4.0]])
        >>> round(chunked_linear_dkd_loss(hidden, weight, teacher, torch.tensor([0])).item(), 4)
        4.1879
    """
    check_reduction(reduction)
    pair = teacher if isinstance(teacher, tuple) else (teacher, None)
    if isinstance(hidden, Tensor) and torch.is_autocast_enabled(hidden.device.type):
        # As the layer itself would be under autocast; below, the types say all.
        half = torch.get_autocast_dtype(hidden.device.type)
        hidden, weight = _in_type(hidden, half), _in_type(weight, half)
        pair = pair if pair[1] is None else (_in_type(pair[0], half), _in_type(pair[1], half))
    _check(hidden, weight, *pair)
    if not isinstance(target, Tensor) or target.is_floating_point() or target.dtype == torch.bool:
        found = target.dtype if isinstance(target, Tensor) else type(target).__name__
        raise TypeError(f"target must be a tensor of class indices, got {found}")
    if rows_per_chunk is None:
        rows_per_chunk = max(hidden.numel(), SMALLEST_CHUNK) // len(weight)
    elif rows_per_chunk < 1:
        raise ValueError(f"rows_per_chunk must be at least 1, got {rows_per_chunk}")
    like_logits = hidden[:, :1].expand(-1, len(weight))  # for the checks; no memory
    t = working_temperature(temperature, like_logits)
    if isinstance(t, Tensor):
        raise TypeError("temperature must be a float here; make the logits and use dkd_loss for one that is a tensor")
    indices, counted = working_indices(target, like_logits, ignore_index)
    settings = _Settings(t, alpha, beta, reduction, max(1, rows_per_chunk))
    teacher_hidden, teacher_weight = (None if tensor is None else constant(tensor) for tensor in pair)
    ignored = None if counted is None else ~counted
    with torch.autocast(hidden.device.type, enabled=False):
        return _ChunkedLinear.apply(  # type: ignore[no-any-return]  # untyped in torch
            hidden, weight, teacher_hidden, teacher_weight, indices, ignored, settings
        )


def _in_type(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """What autocast does: float32 and half types become ``dtype``, all else stays."""
    is_cast = isinstance(tensor, Tensor) and tensor.is_floating_point() and tensor.dtype != torch.float64
    return tensor.to(dtype) if is_cast else tensor


def _check(hidden: Tensor, weight: Tensor, teacher: Tensor, teacher_weight: Tensor | None) -> None:
    named = {"hidden": hidden, "weight": weight}
    named |= {"teacher": teacher} if teacher_weight is None else {"teacher[0]": teacher, "teacher[1]": teacher_weight}
    for name, tensor in named.items():
        if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
            found = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
            raise TypeError(f"{name} must be a floating-point tensor, got {found}")
        if tensor.ndim != 2:
            raise ValueError(f"{name} must have two dimensions, got {tuple(tensor.shape)}; flatten the positions")
    for one, other in (("hidden", "weight"), ("teacher[0]", "teacher[1]")):
        if other in named and named[one].dtype != named[other].dtype:
            raise TypeError(f"{one} and {other} must be of one type, got {named[one].dtype} and {named[other].dtype}")
    classes = len(weight)
    if hidden.shape[1] != weight.shape[1]:
        raise ValueError(f"hidden (N, D) and weight (C, D) do not fit: {tuple(hidden.shape)} and {tuple(weight.shape)}")
    if classes < 2:
        raise ValueError(f"distillation needs at least 2 classes, got a weight {tuple(weight.shape)}")
    if teacher_weight is None:
        if teacher.shape != (len(hidden), classes):
            raise ValueError(
                f"the teacher's logits must be {(len(hidden), classes)}, rows of hidden by classes of weight, got "
                f"{tuple(teacher.shape)}"
            )
    elif teacher.shape[0] != len(hidden) or teacher_weight.shape != (classes, teacher.shape[1]):
        raise ValueError(
            f"the teacher's hidden states and weight must be ({len(hidden)}, E) and ({classes}, E), got "
            f"{tuple(teacher.shape)} and {tuple(teacher_weight.shape)}"
        )


class _Settings(NamedTuple):
    temperature: float
    alpha: float
    beta: float
    reduction: Reduction
    rows: int


class _Layers(NamedTuple):
    hidden: Tensor
    weight: Tensor
    teacher: Tensor
    teacher_weight: Tensor | None
    target: Tensor
    ignored: Tensor | None

    @property
    def dtype(self) -> torch.dtype:
        """What is worked in behind the products of matrices."""
        return torch.float64 if torch.float64 in (self.weight.dtype, self.teacher.dtype) else torch.float32

    def counted_rows(self) -> float | Tensor:
        """Rows that count, at least 1."""
        if self.ignored is None:
            return float(max(len(self.hidden), 1))
        return (~self.ignored).sum().clamp(min=1).to(self.dtype)

    def chunks(self, settings: _Settings) -> Iterator[tuple[slice, Problem]]:
        """The rows with their logits, some at a time."""
        for first in range(0, len(self.hidden), settings.rows):
            part = slice(first, first + settings.rows)
            teacher = self.teacher[part]
            yield (
                part,
                Problem(
                    self.hidden[part] @ self.weight.T,
                    teacher if self.teacher_weight is None else teacher @ self.teacher_weight.T,
                    self.target[part].unsqueeze(1),
                    None if self.ignored is None else self.ignored[part].unsqueeze(1),
                    settings.temperature,
                ),
            )


class _ChunkedLinear(Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        teacher: Tensor,
        teacher_weight: Tensor | None,
        target: Tensor,
        ignored: Tensor | None,
        settings: _Settings,
    ) -> Tensor:
        layers = _Layers(hidden, weight, teacher, teacher_weight, target, ignored)
        ctx.save_for_backward(*layers)
        ctx.settings = settings
        # With a scalar to come, whatever comes scales both gradients alike: they are made while the logits are there.
        ctx.divisor = layers.counted_rows() if settings.reduction == "mean" else 1.0
        ahead = settings.reduction != "none" and any(ctx.needs_input_grad[:2])
        values, ctx.gradients = _work(layers, settings, 1.0 / ctx.divisor if ahead else None)
        return values if settings.reduction == "none" else values.sum() / ctx.divisor

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> Any:
        gradients, ctx.gradients = ctx.gradients, None
        if gradients is not None:
            for gradient in gradients:
                gradient.mul_(upstream)
        else:
            hidden, weight, teacher, teacher_weight, target, ignored = ctx.saved_tensors
            layers = _Layers(hidden, weight, teacher, teacher_weight, target, ignored)
            _, gradients = _work(layers, ctx.settings, upstream / ctx.divisor)
        return *gradients, *(None,) * 5


def _work(
    layers: _Layers, settings: _Settings, upstream: float | Tensor | None
) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
    """Values (N,) in T^2 nats, and the gradients of hidden and weight for an upstream one: a scalar, (N,) or none."""
    hidden, weight, temperature = layers.hidden, layers.weight, settings.temperature
    values: list[Tensor] = []
    of_hidden, of_weight = torch.empty_like(hidden), torch.zeros_like(weight, dtype=layers.dtype)
    for part, problem in layers.chunks(settings):
        if upstream is None:
            values.append(weighted_rows(problem, settings.alpha, settings.beta)[0])
            continue
        scale = upstream[part].unsqueeze(1) if isinstance(upstream, Tensor) and upstream.ndim else upstream
        value, gradient = weighted_rows(problem, settings.alpha, settings.beta, temperature * scale)
        assert gradient is not None
        values.append(value)
        product = gradient.to(weight.dtype)
        torch.mm(product, weight, out=of_hidden[part])
        if weight.dtype == of_weight.dtype:
            of_weight.addmm_(product.T, hidden[part])
        else:  # half types: a sum over many chunks would lose what each of them adds
            of_weight += product.T @ hidden[part]
    joined = torch.cat(values).squeeze(1) * temperature**2 if values else hidden.new_zeros(0, dtype=layers.dtype)
    return joined, None if upstream is None else (of_hidden, of_weight)
