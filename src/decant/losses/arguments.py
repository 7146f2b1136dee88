"""What every loss accepts: checks that say what was expected and what came, and the type that the work is done in."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

# A row of bfloat16 probabilities sums to 1 only this closely; what is to be caught (logits, multi-hot rows) is far off.
SUM_TOLERANCE = 0.01


def require(valid: Tensor, found: Tensor, expected: str) -> None:
    """Raise ValueError unless ``valid`` holds everywhere; on CUDA and under compile, where reading the answer would
    stall or split the work, an asynchronous assert says the same without the value."""
    if torch.compiler.is_compiling() or valid.is_cuda:
        torch._assert_async(valid.all(), expected)
    elif not valid.all():
        raise ValueError(f"{expected}; got {found[~valid][0].item()}")


def check_logits(student: Tensor, teacher: Tensor) -> None:
    """Raise unless both are logits (N, C, ...) of one shape over at least two classes."""
    for name, logits in (("student", student), ("teacher", teacher)):
        if not isinstance(logits, Tensor):
            raise TypeError(f"{name} must be a tensor of logits, got {type(logits).__name__}")
        if not logits.is_floating_point():
            raise TypeError(f"{name} must hold floating-point logits, got {logits.dtype}; the target comes third")
    if student.shape != teacher.shape:
        if student.ndim > 1 and student.shape[:1] + student.shape[2:] == teacher.shape[:1] + teacher.shape[2:]:
            raise ValueError(
                f"the student has {student.shape[1]} classes and the teacher {teacher.shape[1]} (dimension 1 of the "
                "logits); both must be over the same classes, in the same shape"
            )
        raise ValueError(
            f"student and teacher must have the same shape, got {tuple(student.shape)} and {tuple(teacher.shape)}; "
            "both are logits (N, C) or (N, C, d1, ...) over the same classes"
        )
    if student.ndim < 2:
        raise ValueError(
            f"logits must be (N, C) or (N, C, d1, ...), got {tuple(student.shape)}; add the batch dimension"
        )
    if student.shape[1] < 2:
        raise ValueError(
            f"distillation needs at least 2 classes in dimension 1, got logits {tuple(student.shape)}; "
            "write a yes/no output z as the two classes (0, z)"
        )


def check_batch(student: Tensor, teacher: Tensor) -> None:
    """Raise unless both are logits (N, C) of at least one sample: for losses that compare the samples of a batch."""
    check_logits(student, teacher)
    if student.ndim != 2 or not len(student):
        raise ValueError(
            "this loss compares the samples of a batch, so logits must be (N, C) with at least one sample, got "
            f"{tuple(student.shape)}"
        )


def check_views(students: Sequence[Tensor], teachers: Sequence[Tensor]) -> None:
    """Raise unless each is the pair of logits (N, C, ...) of a weak and a strong view, all of one shape."""
    for name, views in (("students", students), ("teachers", teachers)):
        if isinstance(views, Tensor) or len(views) != 2:
            got = "one tensor" if isinstance(views, Tensor) else f"{len(views)} of them"
            raise ValueError(f"{name} must be the logits of two views of the same samples, (weak, strong), got {got}")
    for student, teacher in zip(students, teachers, strict=True):
        check_logits(student, teacher)
    if students[0].shape != students[1].shape:
        raise ValueError(
            "both views must be of the same samples, got logits "
            f"{tuple(students[0].shape)} of the weak and {tuple(students[1].shape)} of the strong one"
        )


def working_logits(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Both logits in float32, or in float64 if either is; the teacher's cut from its graph.

    The explicit cast is also what makes the losses independent of autocast.
    """
    dtype = torch.float64 if torch.float64 in (student.dtype, teacher.dtype) else torch.float32
    return student.to(dtype), teacher.detach().to(dtype)


def working_temperature(temperature: float | Tensor, logits: Tensor) -> float | Tensor:
    """A positive float as it is; a positive tensor like ``logits`` in type and device, expanded to (N, ...)."""
    if not isinstance(temperature, Tensor):
        if isinstance(temperature, bool) or not isinstance(temperature, (int, float)):
            raise TypeError(f"temperature must be a float or a tensor, got {type(temperature).__name__}")
        if not 0 < temperature < math.inf:
            raise ValueError(f"temperature must be positive and finite, got {temperature}")
        return float(temperature)
    positions = position_shape(logits)
    # Shapes are compared by hand: a shape that does not broadcast deserves our message, not the one of torch.
    behind = positions[max(len(positions) - temperature.ndim, 0) :]
    if temperature.ndim > len(positions) or any(
        mine not in (1, theirs) for mine, theirs in zip(temperature.shape, behind, strict=True)
    ):
        raise ValueError(
            f"a temperature tensor must broadcast to the positions {positions}, got {tuple(temperature.shape)}"
        )
    working = temperature.to(logits)
    require((working > 0) & working.isfinite(), working, "temperature must be positive and finite")
    return working.expand(positions)


def working_indices(target: Tensor, logits: Tensor, ignore_index: int) -> tuple[Tensor, Tensor | None]:
    """Class indices (N, ...) as int64, with class 0 where ignored, and which positions count; None if all do."""
    positions = position_shape(logits)
    if target.shape != positions:
        raise ValueError(
            f"class indices for logits {tuple(logits.shape)} must have shape {positions}, got {tuple(target.shape)}; "
            "probabilities have the shape of the logits and a floating dtype"
        )
    indices, classes = constant(target).long(), logits.shape[1]
    if indices.is_cpu and not torch.compiler.is_compiling() and indices.numel():
        least, most = indices.aminmax()
        low, high = least.item(), most.item()
        if low >= 0 and high < classes and not low <= ignore_index <= high:
            return indices, None  # by far the most frequent case, and these questions cost as much as a small loss
    counted = indices != ignore_index
    require(
        ~counted | ((indices >= 0) & (indices < classes)),
        indices,
        f"target must hold class indices from 0 to {classes - 1}, or ignore_index ({ignore_index})",
    )
    return indices.masked_fill(~counted, 0), counted


def working_classes(
    target: Tensor | None, student: Tensor, teacher: Tensor, ignore_index: int
) -> tuple[Tensor, Tensor | None]:
    """One class per position (N, ...), the teacher's arg-max where there is no target; and which count, None if all.

    For losses that are defined by one class, which is why mixed labels are refused.
    """
    if target is None:
        return teacher.argmax(dim=1), None
    if (
        not isinstance(target, Tensor)
        or target.is_floating_point()
        or target.is_complex()
        or target.dtype == torch.bool
    ):
        found = target.dtype if isinstance(target, Tensor) else type(target).__name__
        raise TypeError(
            f"target must be None or a tensor of class indices, got {found}; the loss is about one class per position: "
            "of mixed labels give the arg-max, or take dkd_loss"
        )
    return working_indices(target, student, ignore_index)


def working_probabilities(target: Tensor, logits: Tensor) -> Tensor:
    """Probabilities (N, C, ...) in the type of ``logits``, as constants."""
    if target.shape != logits.shape:
        raise ValueError(
            f"target probabilities must have the shape of the logits {tuple(logits.shape)}, got {tuple(target.shape)}; "
            "class indices have an integer dtype"
        )
    probabilities = target.detach().to(logits.dtype)
    require(probabilities >= 0, probabilities, "target probabilities must be at least 0")
    total = probabilities.sum(dim=1)
    require(
        (total - 1).abs() <= SUM_TOLERANCE,
        total,
        f"target probabilities must sum to 1 over the classes (dimension 1, within {SUM_TOLERANCE})",
    )
    return probabilities


def checked_mask(mask: Tensor, logits: Tensor) -> Tensor:
    """A boolean tensor (N, ...) of the positions that count."""
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        found = mask.dtype if isinstance(mask, Tensor) else type(mask).__name__
        raise TypeError(f"mask must be a boolean tensor, true where a position counts, got {found}")
    positions = position_shape(logits)
    if mask.shape != positions:
        raise ValueError(f"mask for logits {tuple(logits.shape)} must have shape {positions}, got {tuple(mask.shape)}")
    return mask


def constant(tensor: Tensor) -> Tensor:
    """The same numbers without a graph; copied if they come from inference mode, which autograd refuses to save."""
    if torch.compiler.is_compiling() or not tensor.is_inference():
        return tensor.detach() if tensor.requires_grad else tensor
    return tensor.clone()


def as_rows(logits: Tensor) -> Tensor:
    """Logits (N, C, d1, ...) -> (N d1 ..., C), without a copy where the classes lie next to each other."""
    return logits if logits.ndim == 2 else logits.movedim(1, -1).reshape(-1, logits.shape[1])


def position_shape(logits: Tensor) -> tuple[int, ...]:
    """(N, d1, ...) of logits (N, C, d1, ...)."""
    return (logits.shape[0], *logits.shape[2:])
