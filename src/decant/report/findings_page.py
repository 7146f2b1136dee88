"""The page that a study leaves: its question, what was run, tables and figure, what they show and what not."""

import json
from pathlib import Path

from decant.engine.checkpoint import write_text
from decant.evidence import Cell, Findings, Interval, MeanStd, Table
from decant.report import wording
from decant.report.findings_chart import findings_chart
from decant.report.summary import bullets, section, tuning_of, what_was_run
from decant.report.table import markdown_table

FIGURE = "figure.png"
NUMBERS = "findings.json"


def write_findings(findings: Findings, folder: Path, *, command: str) -> None:
    """Write findings.json, figure.png and README.md, each of them whole or not at all.

    Args:
        findings: what was found.
        folder: the study's folder; made where it is not there.
        command: the command that made it, as one would type it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / NUMBERS, json.dumps({**findings.to_json(), "command": command}, indent=2) + "\n")
    findings_chart(findings, folder / FIGURE)
    write_text(folder / "README.md", findings_markdown(findings, command=command, figure=FIGURE))


def findings_markdown(findings: Findings, *, command: str, figure: str | None = None) -> str:
    """The page, made of nothing but the findings.

    Args:
        findings: what was found.
        command: the command that made it, as one would type it.
        figure: path of the figure, relative to the page; None leaves it out.
    """
    drawn = f"\n\n![{findings.study}]({figure})" if figure else ""
    parts = [
        f"# {findings.study}",
        findings.question,
        f"```\n{command.strip()}\n```",
        section("Result", findings_tables(findings) + drawn),
        section("What it shows", bullets(list(findings.shown)) or "Nothing."),
        section("What it does not show", bullets(list(findings.not_shown)) or "Every question above has an answer."),
        section("Read with care", bullets(list(findings.caveats)) or "Nothing besides what stands above."),
        section("What was run", _runs(findings)),
    ]
    return "\n\n".join(parts) + "\n"


def findings_tables(findings: Findings) -> str:
    """The tables of a study in Markdown."""
    return "\n\n".join(_table(table) for table in findings.tables)


def _runs(findings: Findings) -> str:
    told = []
    for name, comparison in findings.comparisons.items():
        methods = [f"- {result.name}: {wording.settings(result.settings)}." for result in comparison.results]
        body = "\n".join([what_was_run(comparison), "- Methods, with the settings that were run:"])
        body += "\n" + "\n".join(f"  {line}" for line in methods)
        told.append(f"### {name}\n\n{body}\n\n{tuning_of(comparison).strip()}")
    return "\n\n".join(told)


def _table(table: Table) -> str:
    right = [
        any(not isinstance(row[column], str | None) for row in table.rows) for column in range(len(table.headings))
    ]
    rows = [[cell(value) for value in row] for row in table.rows]
    title = f"**{table.title}**\n\n" if table.title else ""
    note = f"\n{table.note}" if table.note else ""
    return f"{title}{markdown_table(list(table.headings), rows, right)}{note}".strip()


def cell(value: Cell) -> str:
    """An entry of a table in words: the same number reads the same everywhere.

    >>> cell(MeanStd(93.2, 0.41)), cell(Interval(2.0, 1.5, 2.5, 5, 0.95))
    ('93.20 ± 0.41', '+2.00 [+1.50, +2.50]')
    >>> cell(0.98765), cell(12.3), cell(7), cell(None)
    ('0.988', '12.30', '7', '-')
    """
    if isinstance(value, Interval):
        return wording.difference(value)
    if isinstance(value, MeanStd):
        return wording.mean_and_std(value)
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 1 else f"{value:.2f}"
    return wording.NOTHING if value is None else f"{value:,}" if isinstance(value, int) else value
