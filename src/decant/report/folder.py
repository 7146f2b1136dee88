"""The page that a comparison leaves in its folder."""

import json
from pathlib import Path

from decant.engine.checkpoint import write_text
from decant.evidence import Comparison
from decant.report.chart import comparison_chart
from decant.report.summary import summary_markdown


def write_comparison(comparison: Comparison, folder: Path, *, command: str) -> None:
    """Write comparison.json, chart.png and README.md, each of them whole or not at all.

    Args:
        comparison: what was measured.
        folder: the comparison's folder.
        command: the command that made it, as one would type it.
    """
    write_text(folder / "comparison.json", json.dumps(comparison.to_json(), indent=2) + "\n")
    comparison_chart(comparison, folder / "chart.png")
    write_text(folder / "README.md", summary_markdown(comparison, command=command, chart="chart.png"))
