"""The figure of a study: its panels side by side, drawn from their numbers alone."""

import math
import textwrap
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from decant.engine.checkpoint import write_atomically
from decant.evidence import Findings, Heatmap, Panel, Series
from decant.report.palette import COLOURS, FAINT, INK

_WIDTH, _HEIGHT = 5.2, 4.2
_ACROSS = 3
"""Panels in a row."""
_MANY = 40
"""Points from which they are drawn small and without a frame."""
_DASHES = ("--", ":", "-.")
_MARKERS = ("o", "^", "s")
"""The next one where the colours begin again."""


def findings_chart(findings: Findings, path: Path) -> Path:
    """Draw the panels of a study into a PNG file, which is either written whole or not at all."""
    figure = findings_figure(findings)
    # Without the library's version in it, equal pictures are equal files.
    write_atomically(path, lambda part: figure.savefig(part, format="png", dpi=150, metadata={"Software": None}))
    return path


def findings_figure(findings: Findings) -> Figure:
    """The picture that ``findings_chart`` writes, as a figure: no pyplot, no display, no global state.

    Raises:
        ValueError: the findings have no panel.
    """
    count = len(findings.panels)
    if not count:
        raise ValueError(f"study {findings.study}: expected at least one panel to draw, got none")
    across = min(count, _ACROSS)
    rows = math.ceil(count / across)
    figure = Figure(figsize=(_WIDTH * across, _HEIGHT * rows + 0.5), layout=ConstrainedLayoutEngine(w_pad=0.1))
    figure.suptitle(findings.study, fontsize=12, fontweight="bold", color=INK)
    cells = figure.subplots(rows, across, squeeze=False).flat
    for panel, axes in zip(findings.panels, cells, strict=False):
        if isinstance(panel, Heatmap):
            _draw_heatmap(figure, axes, panel)
        else:
            _draw(axes, panel)
    for axes in list(cells):  # what is left of the last row
        axes.set_visible(False)
    return figure


def _draw(axes: Axes, panel: Panel) -> None:
    for place, series in enumerate(panel.series):
        _draw_series(axes, series, COLOURS[(place + 1) % len(COLOURS)], _MARKERS[place // len(COLOURS) % len(_MARKERS)])
    for place, (name, level) in enumerate(panel.levels.items()):
        axes.axhline(level, color=COLOURS[0], linewidth=1.2, linestyle=_DASHES[place % len(_DASHES)], label=name)
    if panel.logarithmic:
        axes.set_xscale("log", base=2)
        places = sorted({x for series in panel.series for x in series.x})
        axes.set_xticks(places, [f"{x:g}" for x in places])
        axes.minorticks_off()
    if panel.ticks:
        axes.set_xticks(list(panel.ticks), list(panel.ticks.values()), rotation=30, ha="right")
    if not panel.x_label and not panel.y_label:
        axes.set_xticks([])
        axes.set_yticks([])
    _dress(axes, panel.title, panel.x_label, panel.y_label)
    axes.grid(color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8, frameon=False)


def _draw_series(axes: Axes, series: Series, colour: str, marker: str) -> None:
    many = len(series.x) > _MANY
    axes.plot(
        series.x,
        series.y,
        color=colour,
        linewidth=1.6 if series.joined else 0,
        marker=marker,
        markersize=2 if many else 5,
        markeredgewidth=0,
        label=series.name or None,
    )
    for x, low, high in zip(series.x, series.low, series.high, strict=False):
        if low is not None and high is not None:
            axes.plot([x, x], [low, high], color=colour, linewidth=1.6, alpha=0.6, solid_capstyle="butt")
    for x, y, label in zip(series.x, series.y, series.labels, strict=False):
        axes.annotate(label, (x, y), xytext=(4, 3), textcoords="offset points", fontsize=7, color=INK)


def _draw_heatmap(figure: Figure, axes: Axes, panel: Heatmap) -> None:
    image = axes.imshow(panel.values, cmap="cividis", vmin=0, vmax=panel.highest, interpolation="nearest")
    bar = figure.colorbar(image, ax=axes, shrink=0.8)
    bar.set_label(panel.unit, fontsize=9, color=INK)
    axes.set_xticks([])
    axes.set_yticks([])
    _dress(axes, panel.title, "", "")


def _dress(axes: Axes, title: str, x_label: str, y_label: str) -> None:
    axes.set_title(textwrap.fill(title, 52), fontsize=10, loc="left", color=INK)
    axes.set_xlabel(x_label, fontsize=9, color=INK)
    axes.set_ylabel(y_label, fontsize=9, color=INK)
    axes.tick_params(axis="both", length=0, labelsize=8, labelcolor=INK)
    for spine in axes.spines.values():
        spine.set_visible(False)
