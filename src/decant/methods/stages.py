"""Which features a method compares, and the shapes that its bridges are built from."""

import re
from collections.abc import Mapping

from decant.interfaces import BuildContext, Shapes

Shape = tuple[int, ...]


def paired_stages(context: BuildContext, method: str) -> tuple[str, ...]:
    """Tap names of all stages after the stem, in order; student and teacher must have as many.

    Raises:
        ValueError: there is no teacher, no shapes, no stages, or not as many in both.
    """
    student, teacher = (_stages(shapes.taps) for shapes in _shapes(context, method))
    if student != teacher or not student:
        raise ValueError(
            f"{method} compares all stages after the stem, paired by position, but the student has "
            f"{', '.join(student) or 'none'} and the teacher {', '.join(teacher) or 'none'}; name as many of both: "
            'student.taps = { stage1 = "module path", ... } and teacher.taps in a recipe, or '
            'Distiller(..., student_taps={"stage1": module path, ...}, teacher_taps={...})'
        )
    return student


def paired_maps(
    context: BuildContext, method: str, taps: tuple[str, ...], *, tokens: bool = False
) -> list[tuple[Shape, Shape]]:
    """Shapes (C, H, W) of these features, student's and teacher's.

    ``tokens`` takes grids of tokens too, by the shape that they have as maps; the method must then be one
    :meth:`~decant.methods.feature_method.FeatureMethod.on_maps`.

    Raises:
        ValueError: there is no teacher, no shapes, no such tap, or a feature that is not a map.
    """
    if not tokens:
        return _paired(context, method, taps, ("maps (C, H, W)", 3))
    both = _named(context, method, taps)
    return [(map_shape(both[0], tap, method, "student"), map_shape(both[1], tap, method, "teacher")) for tap in taps]


def map_shape(shapes: Shapes, tap: str, method: str, role: str) -> Shape:
    """Shape (C, H, W) of a feature that is a map, or a grid of tokens.

    Raises:
        ValueError: it is neither.
    """
    shape = shapes.taps[tap]
    if tap in shapes.grids:
        return shape[1], shapes.grids[tap].height, shapes.grids[tap].width
    if len(shape) == 3:
        return shape
    refused = f"{method} needs maps (C, H, W), but the {role}'s {tap!r} is {shape}"
    if len(shape) == 2:
        refused += (
            ": tokens (L, D) are taken for a map where they are a grid of the images' height:width after the class "
            "token and its like, which these are not. Say how many stand before the grid, by an attribute "
            f"num_prefix_tokens of the {role}, or name a module that gives maps"
        )
    raise ValueError(refused)


def paired_vectors(context: BuildContext, method: str, taps: tuple[str, ...]) -> list[tuple[Shape, Shape]]:
    """Shapes (D,) of these features, student's and teacher's; errors as for :func:`paired_maps`."""
    return _paired(context, method, taps, ("vectors (D,)", 1))


def _paired(
    context: BuildContext, method: str, taps: tuple[str, ...], wanted: tuple[str, int]
) -> list[tuple[Shape, Shape]]:
    both = [shapes.taps for shapes in _named(context, method, taps)]
    for role, shapes in zip(("student", "teacher"), both, strict=True):
        for tap in taps:
            if len(shapes[tap]) != wanted[1]:
                raise ValueError(f"{method} needs {wanted[0]}, but the {role}'s {tap!r} is {shapes[tap]}")
    return [(both[0][tap], both[1][tap]) for tap in taps]


def _named(context: BuildContext, method: str, taps: tuple[str, ...]) -> tuple[Shapes, Shapes]:
    both = _shapes(context, method)
    for role, shapes in zip(("student", "teacher"), both, strict=True):
        if missing := [tap for tap in taps if tap not in shapes.taps]:
            names = sorted(shapes.taps) or "none"
            raise ValueError(
                f"{method} needs the {role}'s features {missing}, but the {role} names {names}; "
                f"give {role}.taps in a recipe, or Distiller(..., {role}_taps={{name: module path}})"
            )
    return both


def _shapes(context: BuildContext, method: str) -> tuple[Shapes, Shapes]:
    if context.teacher is None:
        raise ValueError(f"{method} learns from a teacher, but there is none")
    if context.student_shapes is None or context.teacher_shapes is None:
        raise ValueError(
            f"{method} is built from the shapes of both networks' features: give Distiller(..., example=images), one "
            "batch of them"
        )
    return context.student_shapes, context.teacher_shapes


def _stages(taps: Mapping[str, Shape]) -> tuple[str, ...]:
    numbers = sorted(int(found[1]) for tap in taps if (found := re.fullmatch(r"stage([1-9]\d*)", tap)))
    return tuple(f"stage{number}" for number in numbers)
