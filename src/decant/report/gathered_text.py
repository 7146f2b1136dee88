"""What was gathered as text: tables for a README, rows for other programs."""

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

from decant.evidence.gathering import Gathered
from decant.report.chapters import every_run, group_title
from decant.report.findings_page import findings_tables
from decant.report.table import claims_markdown, comparison_markdown, markdown_table


def gathered_markdown(gathered: Gathered) -> str:
    """Tables in Markdown, each with what it shows: those of a README's own blocks where there is a comparison."""
    parts = [f"## study {found.study}\n\n{findings_tables(found)}\n" for found in gathered.studies.values()]
    for group in gathered.groups:
        if group.comparison is not None:
            body = f"{comparison_markdown(group.comparison)}\n{claims_markdown(group.comparison)}"
        else:
            runs = every_run(group)
            body = f"{markdown_table(list(runs.headings), [list(row) for row in runs.rows], list(runs.right))}"
            body += f"\nNo verdict: {group.reason}.\n"
        parts.append(f"## {group_title(group)}\n\n{body}")
    return "\n".join(parts)


def gathered_csv(gathered: Gathered) -> str:
    """A row for each judged epoch of each run, with all that metrics.jsonl says of it; nested names have dots."""
    rows = [
        {"folder": str(run.path), "method": method, "seed": run.seed, **dict(_flat(row))}
        for group in gathered.groups
        for method, runs in group.runs.items()
        for run in runs
        for row in run.metrics
    ]
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _flat(row: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in row.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
