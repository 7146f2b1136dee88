"""Evidence: what runs show, and what they do not. Reads run folders; trains, prints and draws nothing."""

from decant.evidence.bootstrap import paired_bootstrap
from decant.evidence.comparability import compare_runs
from decant.evidence.comparison import Comparison, MethodResult, Tuning
from decant.evidence.findings import Cell, Findings, Heatmap, Panel, Series, Table
from decant.evidence.metric import Metric, metric_of
from decant.evidence.runs import Run, read_run
from decant.evidence.statistics import (
    Interval,
    MeanStd,
    half_width,
    mean_interval,
    mean_std,
    paired_differences,
    paired_interval,
)
from decant.evidence.verdicts import MINIMUM_SEEDS, Claim, Verdict, describe_difference, verdict

__all__ = [
    "MINIMUM_SEEDS",
    "Cell",
    "Claim",
    "Comparison",
    "Findings",
    "Heatmap",
    "Interval",
    "MeanStd",
    "MethodResult",
    "Metric",
    "Panel",
    "Run",
    "Series",
    "Table",
    "Tuning",
    "Verdict",
    "compare_runs",
    "describe_difference",
    "half_width",
    "mean_interval",
    "mean_std",
    "metric_of",
    "paired_bootstrap",
    "paired_differences",
    "paired_interval",
    "read_run",
    "verdict",
]
