"""Report: a comparison as a table, a chart and a page. Works nothing out; the numbers come from ``decant.evidence``."""

from decant.report.chart import comparison_chart
from decant.report.findings_page import findings_markdown, write_findings
from decant.report.folder import write_comparison
from decant.report.summary import summary_markdown
from decant.report.table import comparison_markdown, comparison_table

__all__ = [
    "comparison_chart",
    "comparison_markdown",
    "comparison_table",
    "findings_markdown",
    "summary_markdown",
    "write_comparison",
    "write_findings",
]
