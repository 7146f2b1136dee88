"""What a study found: comparisons, tables, panels of a figure, and sentences. Says nothing of how they are drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from decant.evidence.comparison import Comparison
from decant.evidence.statistics import Interval, MeanStd

FORMAT = 1
"""Version of the dictionary that ``Findings.to_json`` makes."""

Cell = str | int | float | MeanStd | Interval | None
"""An entry of a table: an interval is a difference, None is nothing."""


@dataclass(frozen=True)
class Table:
    """Rows under headings.

    Attributes:
        headings: one per column.
        rows: as many cells each; what is measured comes as a number, so that nobody rounds it twice.
        title: what the table is; empty where there is one alone.
        note: what belongs below it.

    Raises:
        ValueError: a row with another number of cells.
    """

    headings: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    title: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        if wrong := [row for row in self.rows if len(row) != len(self.headings)]:
            raise ValueError(f"expected {len(self.headings)} cells in every row, got {len(wrong[0])} in {wrong[0]}")


@dataclass(frozen=True)
class Series:
    """Points that belong together.

    Attributes:
        name: what the legend says; empty for none.
        x, y: where the points are.
        low, high: ends of the interval of each y; empty where there are none, None for a point without one.
        labels: a word beside each point; empty for none.
        joined: whether a line goes through the points.

    Raises:
        ValueError: unequal numbers of x, y, ends or labels.
    """

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float | None, ...] = ()
    high: tuple[float | None, ...] = ()
    labels: tuple[str, ...] = ()
    joined: bool = True

    def __post_init__(self) -> None:
        counts = {len(self.x), len(self.y)} | {len(part) for part in (self.low, self.high, self.labels) if part}
        if len(counts) != 1 or len(self.low) != len(self.high):
            raise ValueError(
                f"series {self.name!r}: expected as many y, low, high and labels as x, got {len(self.x)} x, "
                f"{len(self.y)} y, {len(self.low)} low, {len(self.high)} high, {len(self.labels)} labels"
            )


@dataclass(frozen=True)
class Panel:
    """One pair of axes.

    Attributes:
        title: what it shows.
        x_label, y_label: quantity and unit; empty for axes that have none.
        series: what is drawn, in this order.
        levels: horizontal lines by name, such as that of the baseline.
        ticks: place -> name, where x stands for names rather than numbers.
        logarithmic: whether x is drawn on a logarithmic scale.
    """

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    levels: Mapping[str, float] = field(default_factory=dict)
    ticks: Mapping[float, str] = field(default_factory=dict)
    logarithmic: bool = False


@dataclass(frozen=True)
class Heatmap:
    """A matrix as colours.

    Attributes:
        title: what it shows.
        values: rows of equal length.
        unit: of the values.
        highest: value of the darkest colour, so that matrices can share one scale; None for the largest.
    """

    title: str
    values: tuple[tuple[float, ...], ...]
    unit: str
    highest: float | None = None


@dataclass(frozen=True)
class Findings:
    """What a study found.

    Attributes:
        study: the study's name.
        question: what it asks.
        comparisons: the comparisons that it made, by name.
        tables, panels: what was found, as numbers and as a figure.
        shown: sentences that the runs bear out.
        not_shown: questions that they leave open.
        caveats: sentences without which the others would be misread.
    """

    study: str
    question: str
    comparisons: Mapping[str, Comparison]
    tables: tuple[Table, ...]
    panels: tuple[Panel | Heatmap, ...]
    shown: tuple[str, ...] = ()
    not_shown: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A dictionary that JSON can hold: everything that the page and the figure show, and every seed's numbers."""
        return {
            "format": FORMAT,
            "study": self.study,
            "question": self.question,
            "comparisons": {name: comparison.to_json() for name, comparison in self.comparisons.items()},
            "tables": [
                {
                    "title": table.title,
                    "headings": list(table.headings),
                    "rows": [[_plain(cell) for cell in row] for row in table.rows],
                    "note": table.note,
                }
                for table in self.tables
            ],
            "panels": [asdict(panel) for panel in self.panels],
            "shown": list(self.shown),
            "not_shown": list(self.not_shown),
            "caveats": list(self.caveats),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Findings":
        """The findings that ``to_json`` wrote.

        Raises:
            ValueError: the dictionary is of another format or lacks something.
        """
        if data.get("format") != FORMAT:
            raise ValueError(f"expected findings of format {FORMAT}, got format {data.get('format')!r}")
        try:
            return cls(
                study=data["study"],
                question=data["question"],
                comparisons={name: Comparison.from_json(each) for name, each in data["comparisons"].items()},
                tables=tuple(_table_from_json(table) for table in data["tables"]),
                panels=tuple(_panel_from_json(panel) for panel in data["panels"]),
                shown=tuple(data["shown"]),
                not_shown=tuple(data["not_shown"]),
                caveats=tuple(data["caveats"]),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"expected whole findings, these cannot be read: {error!r}") from error


def _table_from_json(data: Mapping[str, Any]) -> Table:
    rows = tuple(tuple(_cell(value) for value in row) for row in data["rows"])
    return Table(tuple(data["headings"]), rows, title=data["title"], note=data["note"])


def _panel_from_json(data: Mapping[str, Any]) -> Panel | Heatmap:
    if "values" in data:
        return Heatmap(**{**data, "values": _tuples(data["values"])})
    series = tuple(_series_from_json(each) for each in data["series"])
    # The keys of a JSON object are strings; a tick is a place.
    ticks = {float(place): name for place, name in data["ticks"].items()}
    return Panel(**{**data, "series": series, "ticks": ticks})


def _series_from_json(data: Mapping[str, Any]) -> Series:
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
    return Series(**values)


def _tuples(rows: Sequence[Sequence[float]]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in rows)


def _cell(value: Any) -> Cell:
    if isinstance(value, Mapping):
        return MeanStd(**value) if "std" in value else Interval(**value)
    plain: Cell = value
    return plain


def _plain(cell: Cell) -> Any:
    if isinstance(cell, MeanStd):
        return cell._asdict()
    return asdict(cell) if isinstance(cell, Interval) else cell
