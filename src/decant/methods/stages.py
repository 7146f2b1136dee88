"""Which features a method compares, and the shapes that its bridges are built from."""

import re
from collections.abc import Mapping

from decant.interfaces import BuildContext

Shape = tuple[int, ...]


def paired_stages(context: BuildContext, method: str) -> tuple[str, ...]:
    """Tap names of all stages after the stem, in order; student and teacher must have as many.

    Raises:
        ValueError: there is no teacher, no shapes, no stages, or not as many in both.
    """
    student, teacher = (_stages(taps) for taps in _tap_shapes(context, method))
    if student != teacher or not student:
        raise ValueError(
            f"{method} compares all stages after the stem, paired by position, but the student has "
            f"{', '.join(student) or 'none'} and the teacher {', '.join(teacher) or 'none'}; name as many of both: "
            'student.taps = { stage1 = "module path", ... } and teacher.taps in a recipe, or '
            'Distiller(..., student_taps={"stage1": module path, ...}, teacher_taps={...})'
        )
    return student


def paired_maps(context: BuildContext, method: str, taps: tuple[str, ...]) -> list[tuple[Shape, Shape]]:
    """Shapes (C, H, W) of these features, student's and teacher's.

    Raises:
        ValueError: there is no teacher, no shapes, no such tap, or a feature that is not a map.
    """
    return _paired(context, method, taps, ("maps (C, H, W)", 3))


def paired_vectors(context: BuildContext, method: str, taps: tuple[str, ...]) -> list[tuple[Shape, Shape]]:
    """Shapes (D,) of these features, student's and teacher's; errors as for :func:`paired_maps`."""
    return _paired(context, method, taps, ("vectors (D,)", 1))


def _paired(
    context: BuildContext, method: str, taps: tuple[str, ...], wanted: tuple[str, int]
) -> list[tuple[Shape, Shape]]:
    both = _tap_shapes(context, method)
    for role, shapes in zip(("student", "teacher"), both, strict=True):
        if missing := [tap for tap in taps if tap not in shapes]:
            raise ValueError(
                f"{method} needs the {role}'s features {missing}, but the {role} names {sorted(shapes) or 'none'}; "
                f"give {role}.taps in a recipe, or Distiller(..., {role}_taps={{name: module path}})"
            )
        for tap in taps:
            if len(shapes[tap]) != wanted[1]:
                raise ValueError(f"{method} needs {wanted[0]}, but the {role}'s {tap!r} is {shapes[tap]}")
    return [(both[0][tap], both[1][tap]) for tap in taps]


def _tap_shapes(context: BuildContext, method: str) -> tuple[Mapping[str, Shape], Mapping[str, Shape]]:
    if context.teacher is None:
        raise ValueError(f"{method} learns from a teacher, but there is none")
    if context.student_shapes is None or context.teacher_shapes is None:
        raise ValueError(
            f"{method} is built from the shapes of both networks' features: give Distiller(..., example=images), one "
            "batch of them"
        )
    return context.student_shapes.taps, context.teacher_shapes.taps


def _stages(taps: Mapping[str, Shape]) -> tuple[str, ...]:
    numbers = sorted(int(found[1]) for tap in taps if (found := re.fullmatch(r"stage([1-9]\d*)", tap)))
    return tuple(f"stage{number}" for number in numbers)
