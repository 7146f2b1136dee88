"""How far apart are seeds, what does picking the best epoch add, and what difference may a table call one?

The student alone, the control and dkd with many seeds. From their spread follows how large a difference has to be for
its 95% interval to leave out 0, by the number of seeds, paired and not.
"""

from collections.abc import Sequence

from decant.engine import read_summary
from decant.evidence import Comparison, MeanStd, Panel, Series, Table, half_width, mean_std, paired_differences
from decant.recipe import KD_MATCHED
from decant.studies.claims import caveats_of
from decant.studies.side_by_side import TOP1
from decant.studies.sizes import Size
from decant.studies.study import Made, Reading, Study, Trial

NAMES = ("supervised", KD_MATCHED, "dkd")
_PAIRS = (("dkd", "supervised"), ("dkd", KD_MATCHED), (KD_MATCHED, "supervised"))
_COUNTS = (2, 3, 5, 10)
"""Numbers of seeds for which the table says what can be told apart."""


def trials(size: Size) -> dict[str, Trial]:
    """One comparison, tuned as the recipe says."""
    return {size.pair: Trial(size.recipe, NAMES)}


def findings(made: Made) -> Reading:
    """Spread over seeds, last against best epoch, and the smallest difference that so many seeds can show."""
    ((pair, comparison),) = made.comparisons.items()
    samples = int(read_summary(made.run(pair, "supervised", comparison.seeds[0]))["last"]["samples"])
    return Reading(
        tables=(_spread(comparison), _differences(comparison)),
        panels=(_dots(comparison), _gaps(comparison), _widths(comparison)),
        shown=tuple(_sentences(comparison)),
        caveats=(
            f"The spread is known from {len(comparison.seeds)} seeds alone, and so are the widths that follow from it.",
            f"No number of seeds takes away what {samples:,} test images leave open: another draw of as many would "
            f"move the accuracy of {NAMES[0]} by about {_of_the_test_set(comparison, samples):.2f} points (one "
            "standard error); paired differences move less.",
            *caveats_of(made.comparisons),
        ),
    )


def _of_the_test_set(comparison: Comparison, samples: int) -> float:
    """Standard error of an accuracy over so many independent images, in percentage points."""
    share = comparison.result(NAMES[0]).last_score.mean / 100
    return float(100 * (share * (1 - share) / samples) ** 0.5)


def _spread(comparison: Comparison) -> Table:
    rows = []
    for name in NAMES:
        result = comparison.result(name)
        last = list(result.last.values())
        rows.append(
            (
                name,
                result.last_score,
                result.best_score,
                _gap(comparison, name),
                max(last) - min(last),
                len(comparison.seeds),
            )
        )
    headings = ("method", "last epoch, %", "best epoch, %", "best - last, points", "highest - lowest seed, points")
    return Table((*headings, "seeds"), tuple(rows), title="Seeds and epochs")


def _gap(comparison: Comparison, name: str) -> MeanStd:
    """How much higher the best epoch is, which was picked on what it is measured on."""
    result = comparison.result(name)
    return mean_std(paired_differences(result.best, result.last).values())


def _deviations(comparison: Comparison, method: str, to: str) -> tuple[float, float] | None:
    """Sample standard deviations of the difference: by seed, and as if the seeds were not paired."""
    a, b = comparison.result(method).last, comparison.result(to).last
    paired = mean_std(paired_differences(a, b).values()).std
    first, second = mean_std(a.values()).std, mean_std(b.values()).std
    if paired is None or first is None or second is None:
        return None
    return paired, float((first**2 + second**2) ** 0.5)


def _differences(comparison: Comparison) -> Table:
    rows = []
    for method, to in _PAIRS:
        found = _deviations(comparison, method, to)
        for kind, place in (("by seed", 0), ("not paired", 1)):
            deviation = found[place] if found is not None else None
            widths = [_least(deviation, n, paired=place == 0) for n in _COUNTS]
            rows.append((f"{method} - {to}", kind, deviation, *widths))
    return Table(
        ("difference", "pairing", "standard deviation, points", *(f"least with {n} seeds" for n in _COUNTS)),
        tuple(rows),
        title="What may be called a difference",
        note="least: a mean difference below it has a 95% interval that holds 0.",
    )


def _least(deviation: float | None, seeds: int, *, paired: bool) -> float | None:
    """Half the width of the 95% interval of a mean difference; unpaired with the 2 (n - 1) degrees of two samples."""
    if deviation is None:
        return None
    return half_width(deviation, seeds, freedom=seeds - 1 if paired else 2 * (seeds - 1))


def _sentences(comparison: Comparison) -> list[str]:
    lines = []
    for name in NAMES:
        gap = _gap(comparison, name)
        lines.append(f"{name}: picking the best epoch on test adds {gap.mean:.2f} points on average.")
    found = _deviations(comparison, "dkd", KD_MATCHED)
    if found is not None:
        told = ", ".join(f"{_least(found[0], n, paired=True):.2f} with {n} seeds" for n in _COUNTS[1:])
        lines.append(f"dkd - {KD_MATCHED}, paired by seed, has to be at least, in points: {told}.")
        lines.append(
            f"The difference varies by {found[0]:.2f} points from seed to seed where seeds are paired, by "
            f"{found[1]:.2f} where they are not."
        )
    return lines


def _dots(comparison: Comparison) -> Panel:
    places = range(len(NAMES))

    def dots(label: str, shift: float, values: Sequence[Sequence[float]]) -> Series:
        x = tuple(place + shift for place in places for _ in values[place])
        return Series(label, x, tuple(value for group in values for value in group), joined=False)

    results = [comparison.result(name) for name in NAMES]
    series = (
        dots("last epoch", -0.1, [list(result.last.values()) for result in results]),
        dots("best epoch", 0.1, [list(result.best.values()) for result in results]),
    )
    return Panel("a dot per seed", "", TOP1, series, ticks={float(place): NAMES[place] for place in places})


def _gaps(comparison: Comparison) -> Panel:
    series = tuple(
        Series(name, tuple(map(float, gaps)), tuple(gaps.values()), joined=False)
        for name in NAMES
        if (gaps := paired_differences(comparison.result(name).best, comparison.result(name).last))
    )
    return Panel("what picking the best epoch adds", "seed", "percentage points", series)


def _widths(comparison: Comparison) -> Panel:
    found = _deviations(comparison, "dkd", KD_MATCHED) or (0.0, 0.0)
    counts = tuple(range(2, 11))
    series = tuple(
        Series(
            label,
            tuple(float(n) for n in counts),
            tuple(_least(found[place], n, paired=place == 0) or 0.0 for n in counts),
        )
        for label, place in (("paired by seed", 0), ("not paired", 1))
    )
    return Panel(f"least difference that shows, dkd - {KD_MATCHED}", "seeds", "percentage points", series)


STUDY = Study(
    question="How far apart are seeds, what does picking the best epoch add, and what difference may a table call one?",
    trials=trials,
    findings=findings,
    seeds={"paper": 10, "quick": 10, "demo": 20},
)
