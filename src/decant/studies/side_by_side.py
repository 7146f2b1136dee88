"""Methods of one comparison side by side: a row each in a table, a point each in a panel."""

from collections.abc import Iterable, Mapping, Sequence

from decant.evidence import Comparison, Interval, Panel, Series, Table

TOP1 = "top-1 on test, %"


def methods_table(
    comparison: Comparison,
    names: Sequence[str],
    against: Sequence[str],
    *,
    words: Mapping[str, str] | None = None,
    title: str = "",
) -> Table:
    """One row per method: top-1 after the last epoch, and paired differences to each of ``against``."""
    headings = ["method", *(["what teaches"] if words else []), "last epoch, %"]
    headings += [f"against {name} [95%]" for name in against] + ["seeds"]
    rows = tuple(
        (
            name,
            *([words[name]] if words else []),
            comparison.result(name).last_score,
            *(comparison.difference(name, other) for other in against),
            len(comparison.seeds),
        )
        for name in names
    )
    return Table(tuple(headings), rows, title=title)


def methods_panel(comparison: Comparison, names: Sequence[str], *, title: str, level: str | None = None) -> Panel:
    """One point per method with its 95% interval over seeds; ``level`` is drawn as a line rather than a point."""
    shown = [name for name in names if name != level]
    series = with_intervals(
        "mean and 95% interval", range(len(shown)), [comparison.interval(name) for name in shown], joined=False
    )
    return Panel(
        title,
        "",
        TOP1,
        (series,),
        levels={level: comparison.result(level).last_score.mean} if level is not None else {},
        ticks={float(place): name for place, name in enumerate(shown)},
    )


def with_intervals(name: str, x: Iterable[float], intervals: Sequence[Interval], *, joined: bool = True) -> Series:
    """Means with their intervals, by place."""
    return Series(
        name,
        tuple(float(place) for place in x),
        tuple(interval.mean for interval in intervals),
        tuple(interval.low for interval in intervals),
        tuple(interval.high for interval in intervals),
        joined=joined,
    )
