"""The comparison as a table, for the terminal and for Markdown: the same cells in both."""

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from decant.evidence import Comparison, mean_std, verdict
from decant.report import wording

_SETTINGS = "settings"


def comparison_table(comparison: Comparison) -> Table:
    """The comparison for the terminal, one row per method, narrow enough for 80 columns.

    Scores are in percent, differences in percentage points after the last epoch, paired by seed, with 95% intervals.
    Settings stand below the table.
    """
    table = Table(
        title=Text(wording.title(comparison)), box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0)
    )
    headings = _headings(comparison)
    # Text rather than str: rich would take a bracket in a cell for its own markup. Lines are broken here, or rich
    # would break inside the brackets of an interval where the terminal is narrow.
    for heading, numeric in headings:
        if heading != _SETTINGS:
            lines = heading.replace(" ", "\n", 1).replace(" [", "\n[")
            table.add_column(Text(lines), justify="right" if numeric else "left", no_wrap=numeric)
    for row in _rows(comparison):
        cells = [cell for cell, (heading, _) in zip(row, headings, strict=True) if heading != _SETTINGS]
        table.add_row(*(Text(cell.replace(" ±", "\n±").replace(" [", "\n[")) for cell in cells))
    settings = [
        f"{result.name}: {wording.settings(result.settings)}" for result in comparison.results if result.settings
    ]
    table.caption = Text("\n" + "\n".join(settings)) if settings else None
    table.caption_justify = "left"
    return table


def comparison_markdown(comparison: Comparison) -> str:
    """The same table in Markdown, ending with a newline."""
    return markdown_table(*comparison_cells(comparison))


def claims_markdown(comparison: Comparison) -> str:
    """What the comparison shows as a Markdown list, without its caveats, ending with a newline."""
    return "".join(f"- {claim.text}\n" for claim in verdict(comparison).claims)


def comparison_cells(comparison: Comparison) -> tuple[list[str], list[list[str]], list[bool]]:
    """The same table as headings, rows, and which columns hold numbers."""
    headings = _headings(comparison)
    return [heading for heading, _ in headings], _rows(comparison), [right for _, right in headings]


def beside_markdown(comparison: Comparison) -> str:
    """The numbers beside what decides, such as AP50, as a table like that one; "" where there are none."""
    keys = [key for key in comparison.metric.beside if all(key in result.beside for result in comparison.results)]
    if not keys:
        return ""
    references = _references(comparison)
    headings, rows = ["method"], [[result.name] for result in comparison.results]
    for key in keys:
        headings += [f"{comparison.metric.beside[key]}, %", *(f"against {name} [95%]" for name in references)]
        for row, result in zip(rows, comparison.results, strict=True):
            row.append(wording.mean_and_std(mean_std(result.beside[key].values())))
            row += [wording.difference(comparison.difference(result.name, to, beside=key)) for to in references]
    return markdown_table(headings, rows, [False] + [True] * (len(headings) - 1))


def markdown_table(headings: list[str], rows: list[list[str]], right: list[bool]) -> str:
    """A Markdown table; ``right`` says which columns are set to the right."""
    rule = ["---:" if to_the_right else "---" for to_the_right in right]
    cells = [headings, *rows]
    lines = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in cells]
    return "".join(f"| {' | '.join(line)} |\n" for line in [lines[0], rule, *lines[1:]])


def _headings(comparison: Comparison) -> list[tuple[str, bool]]:
    """Every column's heading, and whether it holds numbers."""
    differences = [(f"against {name} [95%]", True) for name in _references(comparison)]
    return [
        ("method", False),
        (_SETTINGS, False),
        ("last epoch, %", True),
        ("best epoch, %", True),
        *differences,
        ("seconds per run", True),
        ("seeds", True),
    ]


def _rows(comparison: Comparison) -> list[list[str]]:
    return [
        [
            result.name,
            wording.settings(result.settings),
            wording.mean_and_std(result.last_score),
            wording.mean_and_std(result.best_score),
            *(wording.difference(comparison.difference(result.name, to)) for to in _references(comparison)),
            wording.duration(result.mean_seconds),
            str(len(result.last)),
        ]
        for result in comparison.results
    ]


def _references(comparison: Comparison) -> list[str]:
    """What the methods are held against, as far as it ran."""
    return [name for name in (comparison.baseline, comparison.control) if name is not None]
