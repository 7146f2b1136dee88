"""The comparison as a picture: every seed's accuracy on the left, differences with their intervals on the right."""

import textwrap
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from decant.engine.checkpoint import write_atomically
from decant.evidence import Comparison, Interval, paired_differences
from decant.report import wording
from decant.report.palette import COLOURS, FAINT, INK

_PANEL_INCHES = 5.0
_ROW_INCHES = 0.6
_LETTERS_PER_INCH = 9
"""Letters of the title that surely fit on an inch; a longer title is broken into lines."""


def comparison_chart(comparison: Comparison, path: Path | str) -> Path:
    """Draw the comparison into a PNG file, which is either written whole or not at all.

    Left: what is judged (top-1, AP) after the last epoch in percent, a dot per seed, the mean and its 95% interval over
    seeds. Right: paired differences to the control (to the baseline where there is no control) in percentage points,
    with 95% intervals.

    Args:
        comparison: what was measured.
        path: where to write, ending in ``.png``; an older file there is replaced. Returned as it was given.

    Raises:
        ValueError: the path does not end in ``.png``.
    """
    path = Path(path)
    if path.suffix != ".png":
        raise ValueError(f"expected a path that ends in .png, got {path}")
    figure = comparison_figure(comparison)
    # The temporary name does not tell the format. Without the library's version in it, equal pictures are equal files.
    write_atomically(path, lambda part: figure.savefig(part, format="png", dpi=160, metadata={"Software": None}))
    return path


def comparison_figure(comparison: Comparison) -> Figure:
    """The picture that ``comparison_chart`` writes, as a figure: no pyplot, no display, no global state."""
    rows = len(comparison.results)
    reference = comparison.control or comparison.baseline
    panels = 2 if reference is not None and rows > 1 else 1
    width = _PANEL_INCHES * panels
    figure = Figure(
        figsize=(width, 1.9 + _ROW_INCHES * rows), layout=ConstrainedLayoutEngine(wspace=0.06, w_pad=0.1, h_pad=0.1)
    )
    axes = figure.subplots(1, panels, sharey=True, squeeze=False)[0]
    title = textwrap.fill(wording.title(comparison), int(width * _LETTERS_PER_INCH))
    figure.suptitle(title, fontsize=11, fontweight="bold", color=INK)
    figure.supxlabel("dots: seeds; diamond: their mean; bar: 95% interval of the mean", fontsize=8, color=INK)
    _draw_scores(axes[0], comparison)
    if panels == 2 and reference is not None:
        _draw_differences(axes[1], comparison, reference)
    return figure


def _draw_scores(axes: Axes, comparison: Comparison) -> None:
    for row, result in enumerate(comparison.results):
        values = [result.last[seed] for seed in comparison.seeds]
        _draw_row(axes, row, values, comparison.interval(result.name))
    labels = [f"{result.name}\n{wording.mean_and_std(result.last_score)}" for result in comparison.results]
    axes.set_yticks(range(len(labels)), labels)
    n = len(comparison.seeds)
    what = "accuracy" if comparison.metric.key == "top1" else comparison.metric.name
    heading = f"{comparison.split} {what} after epoch {comparison.epochs}, {n} {'seed' if n == 1 else 'seeds'}"
    _dress(axes, len(labels), heading, f"{comparison.metric.name}, %")


def _draw_differences(axes: Axes, comparison: Comparison, reference: str) -> None:
    axes.axvline(0, color=INK, linewidth=1)
    labels = []
    for row, result in enumerate(comparison.results):
        interval = comparison.difference(result.name, reference)
        labels.append("reference" if interval is None else wording.difference(interval))
        if interval is not None:
            differences = paired_differences(result.last, comparison.result(reference).last)
            _draw_row(axes, row, list(differences.values()), interval)
    # The numbers stand beside the panel, where no dot can run into them.
    numbers = axes.secondary_yaxis("right")
    numbers.set_yticks(range(len(labels)), labels)
    numbers.tick_params(length=0, labelsize=9, labelcolor=INK)
    numbers.spines["right"].set_visible(False)
    _dress(
        axes,
        len(labels),
        f"difference to {reference}, paired by seed",
        f"percentage points of {comparison.metric.name}",
    )


def _draw_row(axes: Axes, row: int, values: list[float], interval: Interval) -> None:
    colour = COLOURS[row % len(COLOURS)]
    # Seeds lie below the bar, in three steps: accuracies on a small test set often coincide.
    heights = [row + 0.2 + 0.07 * (place % 3) for place in range(len(values))]
    axes.scatter(values, heights, s=18, color=colour, alpha=0.45, linewidths=0, zorder=2)
    if interval.low is not None and interval.high is not None:
        axes.plot([interval.low, interval.high], [row, row], color=colour, linewidth=3, solid_capstyle="butt", zorder=3)
    axes.scatter([interval.mean], [row], s=58, marker="D", color=colour, edgecolors="white", linewidths=1, zorder=4)


def _dress(axes: Axes, rows: int, heading: str, unit: str) -> None:
    axes.set_ylim(rows - 0.4, -0.6)  # the first method on top
    axes.set_title(heading, fontsize=10, loc="left", color=INK)
    axes.set_xlabel(unit, fontsize=9, color=INK)
    axes.margins(x=0.08)
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(axis="both", length=0, labelsize=9, labelcolor=INK)
    for spine in axes.spines.values():
        spine.set_visible(False)
