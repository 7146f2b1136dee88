"""Sentences on paired differences, by the rules of a verdict: three seeds, the last epoch, an interval clear of 0."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from decant.evidence import (
    MINIMUM_SEEDS,
    Comparison,
    Interval,
    describe_difference,
    paired_interval,
    verdict,
)
from decant.evidence.verdicts import shared_caveats

_SAME = 1e-9


@dataclass(frozen=True)
class Claim:
    """A difference in words, and whether the runs bear it out."""

    text: str
    shown: bool


def claim(interval: Interval | None, what: str, unit: str = "percentage points of top-1") -> Claim:
    """What may be said of a paired difference.

    Args:
        interval: the difference; None where one side did not run.
        what: both sides in words: "tckd against supervised".
        unit: of the difference.

    >>> claim(Interval(2.0, 1.5, 2.5, 5, 0.95), "dkd against kd").text
    'dkd against kd: +2.00 [+1.50, +2.50] percentage points of top-1 (95% interval, 5 seeds).'
    >>> claim(Interval(2.0, -0.5, 4.5, 5, 0.95), "dkd against kd").shown
    False
    """
    if interval is None:
        return Claim(f"{what}: one of them did not run.", shown=False)
    said = f"{what}: {describe_difference(interval)} {unit}"
    if interval.n < MINIMUM_SEEDS or interval.low is None or interval.high is None:
        return Claim(f"{said}; {interval.n} of at least {MINIMUM_SEEDS} seeds, so nothing is shown.", shown=False)
    if interval.high - interval.low < _SAME:
        return Claim(f"{said} in every seed, so nothing is known of the spread, and nothing is shown.", shown=False)
    if interval.low <= 0 <= interval.high:
        return Claim(f"{said}: no difference shown (95% interval, {interval.n} seeds).", shown=False)
    return Claim(f"{said} (95% interval, {interval.n} seeds).", shown=True)


def difference(comparison: Comparison, method: str, to: str) -> Claim:
    """What may be said of two methods of a comparison."""
    return claim(comparison.difference(method, to), f"{method} against {to}")


def across(comparison: Comparison, method: str, to: Comparison, other: str) -> Interval:
    """Paired difference in last-epoch top-1 of methods of two comparisons with the same seeds, in points."""
    return paired_interval(comparison.result(method).last, to.result(other).last)


def told(claims: Iterable[Claim]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The sentences that are shown, and those that are not."""
    listed = list(claims)
    return tuple(one.text for one in listed if one.shown), tuple(one.text for one in listed if not one.shown)


def on_decoupling(comparisons: Mapping[str, Comparison]) -> list[Claim]:
    """What the verdict of every comparison says of dkd against its weight-matched control."""
    return [
        Claim(f"{name}: {said.text}" if len(comparisons) > 1 else said.text, said.outcome in ("helped", "hurt"))
        for name, comparison in comparisons.items()
        for said in verdict(comparison).claims
        if said.kind == "decoupling" and said.method == "dkd"
    ]


def caveats_of(comparisons: Mapping[str, Comparison]) -> tuple[str, ...]:
    """What must stand beside the numbers of any study, each sentence once."""
    lines: list[str] = []
    for name, comparison in comparisons.items():
        lines += [*comparison.notes, *shared_caveats(comparison)]
        for result in comparison.results:
            if result.tuning is None:
                continue
            values = sorted(result.tuning.candidates)
            if len(values) > 1 and result.tuning.chosen in (values[0], values[-1]):
                end = "smallest" if result.tuning.chosen == values[0] else "largest"
                lines.append(
                    f"{name}: the best {result.tuning.parameter} of {result.name} is the {end} that was tried "
                    f"({result.tuning.chosen:g}): one beyond it may be better."
                )
        if len(comparison.seeds) < MINIMUM_SEEDS:
            lines.append(f"{name}: fewer than {MINIMUM_SEEDS} seeds, so nothing can be shown.")
    lines.append("Each 95% interval stands for itself; nothing is corrected for looking at many of them.")
    lines.append("The intervals cover the choice of seed: not another test set, another teacher or a longer training.")
    return tuple(dict.fromkeys(lines))
