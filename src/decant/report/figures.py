"""A panel as a figure of a page: what the plotting library draws, and the same numbers as a table."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from decant.evidence import Heatmap, Panel, Series
from decant.report import wording
from decant.report.palette import COLOURS_ON_ANY_GROUND

_DASHES = ("dash", "dot", "dashdot")
_SYMBOLS = {
    "circle": "M0 7a7 7 0 1 0 14 0a7 7 0 1 0 -14 0",
    "triangle-up": "M7 0L14 13H0Z",
    "square": "M1 1H13V13H1Z",
    "x": "M0 3L3 0L7 4L11 0L14 3L10 7L14 11L11 14L7 10L3 14L0 11L4 7Z",
}
"""The next one where the colours begin again, with its outline on a ground of 14 x 14."""
_MANY = 40
"""Points from which a line goes without markers."""
_PAIRS = 20
"""Cells of a large matrix that its table shows; a small one is shown whole."""
_SMALL = 12
"""Rows of a matrix that is shown whole."""


@dataclass(frozen=True)
class Grid:
    """A table of words: headings, rows, and which columns hold numbers."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: tuple[bool, ...]
    note: str = ""


@dataclass(frozen=True)
class Mark:
    """How a group is told from the others: a colour and a symbol; the same to a reader who sees no colours."""

    colour: str
    symbol: str

    @property
    def outline(self) -> str:
        """The symbol as an SVG path on a ground of 14 x 14."""
        return _SYMBOLS[self.symbol]

    @property
    def dash(self) -> str:
        """The kind of line that goes with the symbol: many points are drawn without any."""
        return ("solid", *_DASHES)[list(_SYMBOLS).index(self.symbol)]


@dataclass(frozen=True)
class Figure:
    """A figure of a page.

    Attributes:
        title: what it shows.
        data, layout: as plotly.js takes them; plain values that JSON can hold.
        numbers: what is drawn, as a table.
        groups: name -> mark of what can be shown and hidden, in the order in which it is drawn.
    """

    title: str
    data: tuple[Mapping[str, Any], ...]
    layout: Mapping[str, Any]
    numbers: Grid
    groups: Mapping[str, Mark]


def figure_of(panel: Panel | Heatmap, groups: Mapping[str, str] | None = None, names: Sequence[str] = ()) -> Figure:
    """The figure of a panel.

    Args:
        panel: what to draw.
        groups: name of a series -> the group with which it is shown and hidden, and whose colour it has, the same in
            all figures with these groups; without it every series is its own. A series with the name of its group
            stands for it, and the others of the group are drawn faintly beside it.
        names: of the rows and columns of a matrix; their numbers without it.
    """
    return _matrix(panel, names) if isinstance(panel, Heatmap) else _lines(panel, groups or {})


def number(value: float | None) -> str:
    """A measured value with five digits.

    >>> number(0.0123456), number(49.83), number(3.0), number(None), number(float("nan"))
    ('0.012346', '49.83', '3', '-', '-')
    """
    return wording.NOTHING if value is None or not math.isfinite(value) else f"{value:.5g}"


def _lines(panel: Panel, groups: Mapping[str, str]) -> Figure:
    names = [groups.get(series.name, series.name) for series in panel.series]
    places = {name: place for place, name in enumerate(dict.fromkeys([*groups.values(), *names]))}
    standing = {series.name for series in panel.series} & set(groups.values())
    data = [
        _line(series, name, places[name], faint=name in standing and series.name != name)
        for series, name in zip(panel.series, names, strict=True)
    ]
    data += list(_levels(panel))
    layout: dict[str, Any] = {
        "xaxis": {"title": {"text": _plain(panel.x_label)}},
        "yaxis": {"title": {"text": _plain(panel.y_label)}},
    }
    if panel.logarithmic:
        layout["xaxis"] |= {"type": "log"}
    if panel.ticks:
        layout["xaxis"] |= {"tickvals": list(panel.ticks), "ticktext": [_plain(name) for name in panel.ticks.values()]}
    if not panel.x_label and not panel.y_label:
        layout["xaxis"] |= {"showticklabels": False}
        layout["yaxis"] |= {"showticklabels": False}
    marks = {name: _mark(places[name]) for name in places if name and name in names}
    return Figure(panel.title, tuple(data), layout, _numbers(panel), marks)


def _line(series: Series, group: str, place: int, *, faint: bool) -> dict[str, Any]:
    few, mark = len(series.x) <= _MANY and not faint, _mark(place)
    line: dict[str, Any] = {
        "type": "scatter",
        "mode": ("lines+markers" if few else "lines") if series.joined else "markers",
        "name": _plain(series.name),
        "legendgroup": group,
        "x": [_finite(value) for value in series.x],
        "y": [_finite(value) for value in series.y],
        "line": {"color": mark.colour, "width": 1 if faint else 2, "dash": mark.dash},
        "opacity": 0.4 if faint else 1,
        "marker": {
            "color": mark.colour,
            "size": 6 if few else 4,
            "symbol": mark.symbol,
        },
    }
    if series.labels:
        line |= {"text": [_plain(label) for label in series.labels]}
    if any(low is not None for low in series.low):
        ends = list(zip(series.y, series.low, series.high, strict=True))
        line["error_y"] = {
            "type": "data",
            "symmetric": False,
            "array": [None if high is None else high - y for y, _, high in ends],
            "arrayminus": [None if low is None else y - low for y, low, _ in ends],
            "color": mark.colour,
        }
    return line


def _levels(panel: Panel) -> Iterator[dict[str, Any]]:
    places = [x for series in panel.series for x in series.x] or [0.0, 1.0]
    for place, (name, level) in enumerate(panel.levels.items()):
        yield {
            "type": "scatter",
            "mode": "lines",
            "name": _plain(name),
            "x": [min(places), max(places)],
            "y": [level, level],
            "line": {"color": COLOURS_ON_ANY_GROUND[0], "width": 1.5, "dash": _DASHES[place % len(_DASHES)]},
        }


def _numbers(panel: Panel) -> Grid:
    if not panel.x_label and not panel.y_label:
        points = sum(len(series.x) for series in panel.series)
        return Grid(
            (), (), (), f"A map of {points} points; its axes have no meaning, so its coordinates are not listed."
        )
    names = [series.name or panel.y_label for series in panel.series]
    cells: dict[float, dict[int, str]] = {}
    for column, series in enumerate(panel.series):
        for place, (x, y) in enumerate(zip(series.x, series.y, strict=True)):
            cells.setdefault(x, {})[column] = _cell(series, place, y)
    rows = [
        (
            panel.ticks.get(x, number(x)),
            *(cells[x].get(column, wording.NOTHING) for column in range(len(names))),
            *(number(level) for level in panel.levels.values()),
        )
        for x in sorted(cells)
    ]
    headings = (panel.x_label, *names, *panel.levels)
    return Grid(headings, tuple(rows), (not panel.ticks, *[True] * (len(headings) - 1)))


def _cell(series: Series, place: int, y: float) -> str:
    low, high = (ends[place] if ends else None for ends in (series.low, series.high))
    interval = "" if low is None or high is None else f" [{number(low)}, {number(high)}]"
    label = f" ({series.labels[place]})" if series.labels else ""
    return f"{number(y)}{interval}{label}"


def _matrix(panel: Heatmap, names: Sequence[str]) -> Figure:
    names = names or [str(place) for place in range(len(panel.values))]
    plain = [_plain(name) for name in names]
    data = {
        "type": "heatmap",
        "x": plain,
        "y": plain,
        "z": [[_finite(value) for value in row] for row in panel.values],
        "colorscale": "Cividis",
        "zmin": 0,
        "zmax": panel.highest,
        "colorbar": {"title": {"text": _plain(panel.unit)}, "thickness": 12},
    }
    axes = {"type": "category", "showticklabels": False, "showgrid": False, "constrain": "domain"}
    layout = {"xaxis": axes, "yaxis": axes | {"autorange": "reversed", "scaleanchor": "x"}}
    size = len(panel.values)
    if size <= _SMALL:
        headings = ("", *names)
        rows = tuple((name, *map(number, row)) for name, row in zip(names, panel.values, strict=True))
        numbers = Grid(headings, rows, (False, *[True] * size))
    else:
        cells = [(value, i, j) for i, row in enumerate(panel.values) for j, value in enumerate(row) if i < j]
        largest = sorted(cells, key=lambda cell: -cell[0])[:_PAIRS]
        numbers = Grid(
            ("of", "and", panel.unit),
            tuple((names[i], names[j], number(value)) for value, i, j in largest),
            (False, False, True),
            f"The {len(largest)} largest of {len(cells)}.",
        )
    return Figure(panel.title, (data,), layout, numbers, {})


def _mark(place: int) -> Mark:
    count, symbols = len(COLOURS_ON_ANY_GROUND), tuple(_SYMBOLS)
    return Mark(COLOURS_ON_ANY_GROUND[(place + 1) % count], symbols[place // count % len(symbols)])


def _finite(value: float) -> float | None:
    """JSON has no NaN; a gap in the line stands for it."""
    return float(value) if math.isfinite(value) else None


def _plain(text: str) -> str:
    """plotly.js takes a few tags in its texts for markup; names of the user's are shown letter by letter."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def grid(headings: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool], note: str = "") -> Grid:
    """The same from any sequences."""
    return Grid(tuple(headings), tuple(tuple(row) for row in rows), tuple(right), note)
