"""What every loss of features accepts: checks that say what came, the type of the work, and sizes made equal."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def working_pair(student: Tensor, teacher: Tensor, dimensions: int | None = None) -> tuple[Tensor, Tensor]:
    """Features of the same N samples in float32, or in float64 if either is; the teacher's cut from its graph.

    ``dimensions`` counts all of them, N included; None for any number from 2 on.
    """
    for name, feature in (("student", student), ("teacher", teacher)):
        if not isinstance(feature, Tensor):
            raise TypeError(f"{name} must be a tensor of features, got {type(feature).__name__}")
        if not feature.is_floating_point():
            raise TypeError(f"{name} must hold floating-point features, got {feature.dtype}")
        if feature.ndim < 2 or dimensions not in (None, feature.ndim):
            wanted = {None: "(N, ...)", 2: "vectors (N, D)", 4: "maps (N, C, H, W)"}[dimensions]
            raise ValueError(f"the {name}'s features must be {wanted}, got shape {tuple(feature.shape)}")
        if not feature.numel():
            raise ValueError(f"the {name}'s features are empty: shape {tuple(feature.shape)}")
    if student.shape[0] != teacher.shape[0]:
        raise ValueError(
            "student and teacher must see the same samples in the same order, got features of "
            f"{student.shape[0]} samples from the student and of {teacher.shape[0]} from the teacher"
        )
    dtype = torch.float64 if torch.float64 in (student.dtype, teacher.dtype) else torch.float32
    return student.to(dtype), teacher.detach().to(dtype)


def working_maps(students: Sequence[Tensor], teachers: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Feature maps (N, C, H, W) paired by position, each pair as :func:`working_pair` returns it."""
    for name, features in (("students", students), ("teachers", teachers)):
        if isinstance(features, Tensor):
            raise TypeError(f"{name} must be a sequence of feature maps, one per stage, got one tensor; write [tensor]")
    if len(students) != len(teachers) or not students:
        raise ValueError(
            "students and teachers are paired by position and must be as many, at least one; got "
            f"{len(students)} feature maps of the student and {len(teachers)} of the teacher"
        )
    return [working_pair(student, teacher, 4) for student, teacher in zip(students, teachers, strict=True)]


def same_shape(student: Tensor, teacher: Tensor, bridge: str) -> None:
    """ValueError unless the shapes are equal; ``bridge`` says what makes them so."""
    if student.shape != teacher.shape:
        raise ValueError(
            f"student and teacher must have the same shape here, got {tuple(student.shape)} and "
            f"{tuple(teacher.shape)}; {bridge}"
        )


def at_one_size(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Maps (N, C, H, W) averaged over the positions of the larger until both have the smaller height and width."""
    height, width = (min(pair) for pair in zip(student.shape[2:], teacher.shape[2:], strict=True))

    def pooled(maps: Tensor) -> Tensor:
        return maps if maps.shape[2:] == (height, width) else F.adaptive_avg_pool2d(maps, (height, width))

    return pooled(student), pooled(teacher)


def unit(vectors: Tensor, dim: int) -> Tensor:
    """Vectors along ``dim`` over their Euclidean norm; one that is 0 stays 0, with a gradient that is finite."""
    norm: Tensor = torch.linalg.vector_norm(vectors, dim=dim, keepdim=True)
    # Over 1 rather than over a tiny constant, which would send its inverse back as the gradient of a dead feature.
    return vectors / norm.masked_fill(norm == 0, 1.0)


def added(terms: Iterable[Tensor]) -> Tensor:
    """The sum of scalars."""
    return torch.stack(list(terms)).sum()


def full_precision(features: Tensor) -> torch.autocast:
    """Autocast switched off: inside it, matrix products would go back to the half type that a cast has just left."""
    return torch.autocast(features.device.type, enabled=False)
