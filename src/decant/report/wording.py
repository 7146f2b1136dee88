"""How numbers and settings read in a table, a chart and a page: written once, the same everywhere."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from decant.evidence import Comparison, Interval, MeanStd, describe_difference

NOTHING = "-"
"""Stands where there is nothing to say."""


def mean_and_std(value: MeanStd) -> str:
    """``93.20 ± 0.41``; without a spread for one run alone.

    >>> mean_and_std(MeanStd(93.2, 0.414)), mean_and_std(MeanStd(93.2, None))
    ('93.20 ± 0.41', '93.20')
    """
    return f"{value.mean:.2f}" if value.std is None else f"{value.mean:.2f} ± {value.std:.2f}"


def difference(interval: Interval | None) -> str:
    """``+2.00 [+1.53, +2.47]``, signs included; without an interval where there are too few seeds for one.

    >>> difference(Interval(2.0, 1.53, 2.47, 10, 0.95)), difference(None)
    ('+2.00 [+1.53, +2.47]', '-')
    """
    return NOTHING if interval is None else describe_difference(interval)


def percent(value: float | None) -> str:
    """Two decimals, or a dash where nothing was measured.

    >>> percent(92.5)
    '92.50'
    """
    return NOTHING if value is None else f"{value:.2f}"


def duration(seconds: float) -> str:
    """Seconds with as many digits as a timing is good for.

    >>> duration(3.14159), duration(314.159)
    ('3.1', '314')
    """
    return f"{seconds:.1f}" if seconds < 100 else f"{seconds:.0f}"


def setting(value: Any) -> str:
    """One value of a recipe: numbers to six digits and without trailing zeros, which the recipe has in full.

    >>> setting(4.0), setting(0.25), setting(4 / 3), setting(None), setting((2, 3)), setting(())
    ('4', '0.25', '1.33333', 'none', '2, 3', 'none')
    """
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return f"({settings(value, without=())})"
    if isinstance(value, list | tuple):
        return ", ".join(setting(item) for item in value) or "none"
    return str(value)


def settings(values: Mapping[str, Any], *, without: Iterable[str] = ("name",)) -> str:
    """Settings with their names: ``temperature 4, alpha 1``; of a digest the beginning.

    >>> settings({"name": "dkd", "temperature": 4.0, "alpha": 1.0})
    'temperature 4, alpha 1'
    >>> settings({"scale": (0.08, 1.0), "flip": True})
    'scale (0.08, 1), flip yes'
    """
    left_out = set(without)
    shown = {name: value[:12] if name == "sha256" else value for name, value in values.items() if name not in left_out}
    parts = [
        f"{name.replace('_', ' ')} " + (f"({setting(value)})" if _is_several(value) else setting(value))
        for name, value in shown.items()
    ]
    return ", ".join(parts) or NOTHING


def _is_several(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) > 1


def named(values: Mapping[str, Any]) -> str:
    """The name of a data set, network or teacher as its recipe gives it."""
    return str(values.get("name", "unnamed"))


def title(comparison: Comparison) -> str:
    """``digits: student digits_student, teacher digits_teacher``, with as many teachers as there are."""
    teachers = ", ".join(sorted({named(teacher) for teacher in comparison.teachers}))
    taught = f", teacher {teachers}" if teachers else ""
    return f"{named(comparison.data)}: student {named(comparison.student)}{taught}"


def seeds(values: Sequence[int]) -> str:
    """Seeds as a range where they follow each other.

    >>> seeds((0, 1, 2)), seeds((0, 2)), seeds((5,))
    ('0 to 2', '0, 2', '5')
    """
    if len(values) > 2 and list(values) == list(range(values[0], values[-1] + 1)):
        return f"{values[0]} to {values[-1]}"
    return ", ".join(str(value) for value in values)
