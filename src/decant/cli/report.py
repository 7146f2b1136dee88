"""`decant report`: what runs left, as a page, as tables, or as rows for other programs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from decant.cli.options import TEACHERS, DeviceOption, TeachersOption, ThreadsOption, TrustOption, use_threads

if TYPE_CHECKING:
    from decant.evidence.gathering import Gathered
    from decant.report.beside_teacher import Onlooker


def report(
    runs: Annotated[
        list[Path], typer.Argument(help="Folders of runs, comparisons or studies, or folders above these.")
    ],
    html: Annotated[Path | None, typer.Option("--html", help="Write one page that needs nothing else.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print tables for a README.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print a row for each judged epoch of each run.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Write the page again until the runs are done.")] = False,
    every: Annotated[int, typer.Option("--every", min=1, help="Seconds between two looks of --watch.")] = 15,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Folder of the data sets: adds to the page who is right about which pictures."),
    ] = None,
    teachers: TeachersOption = TEACHERS,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    trust_code: TrustOption = False,
) -> None:
    """Show what runs left. Reads and never changes them; what cannot be read is said."""
    from decant.evidence.gathering import gather
    from decant.report.gathered_text import gathered_csv, gathered_markdown

    if (watch or data is not None) and html is None:
        raise ValueError("--watch and --data are for the page: say with --html where to write it")
    if html is not None:
        _refuse(html)
        use_threads(threads)
        gathered = _write_page(runs, html, _onlooker(data, teachers, device, trust_code), every if watch else None)
    else:
        gathered = gather(runs)
    if markdown:
        typer.echo(gathered_markdown(gathered), nl=False)
    if csv:
        typer.echo(gathered_csv(gathered), nl=False)
    if not (markdown or csv or html):
        _print(gathered)
    for fault in gathered.faults:
        _say(f"not shown: {fault.path}: {fault.reason}", to_errors=True)
    if not gathered.groups and not gathered.studies:
        raise ValueError("nothing to show: name folders that runs, `decant compare` or `decant study` left")
    if html is not None:
        _say(f"in {html}: one page, open it in a browser")


def _refuse(html: Path) -> None:
    """Refuse a page in a place where something of another kind is."""
    if html.is_dir():
        raise FileExistsError(f"--html names a file to write, and {html} is a folder")
    if html.suffix not in {".html", ".htm"}:
        raise ValueError(f"--html names a file that ends in .html, got {html}")
    if html.is_file() and b'<meta name="generator" content="decant">' not in html.read_bytes()[:4096]:
        raise FileExistsError(f"{html} is there and is no page of decant's; give another name")


def _onlooker(data: Path | None, teachers: Path, device: str, trust_code: bool) -> "Onlooker | None":
    from decant.engine import Places
    from decant.report.beside_teacher import Onlooker

    return None if data is None else Onlooker(Places(teachers, data, device), trust_code=trust_code)


def _write_page(runs: list[Path], html: Path, onlooker: "Onlooker | None", every: int | None) -> "Gathered":
    from decant.evidence.gathering import gather
    from decant.report.html_page import plotting_library, write_report
    from decant.report.watching import watch

    library = plotting_library()

    def write(gathered: "Gathered", refresh: int | None) -> None:
        write_report(gathered, html, library=library, onlooker=onlooker, refresh=refresh)

    if every is not None:
        _say(f"{html} follows the runs; Ctrl+C ends it")
        return watch(runs, write, every=every)
    gathered = gather(runs)
    write(gathered, None)
    return gathered


def _print(gathered: "Gathered") -> None:
    from decant.evidence import verdict
    from decant.report import comparison_table
    from decant.report.chapters import every_run, group_title
    from decant.report.findings_page import findings_tables

    for found in gathered.studies.values():
        _say(f"study {found.study}: {found.question}\n\n{findings_tables(found)}\n")
        for line in (*found.shown, *found.not_shown):
            _say(line)
    for group in gathered.groups:
        _say(f"{group.path}")
        if group.comparison is not None:
            Console().print(comparison_table(group.comparison))
            for line in verdict(group.comparison).lines:
                _say(line)
            continue
        runs = every_run(group)
        table = Table(title=Text(group_title(group)), title_justify="left")
        for heading, right in zip(runs.headings, runs.right, strict=True):
            table.add_column(Text(heading), justify="right" if right else "left")
        for row in runs.rows:
            table.add_row(*map(Text, row))
        Console().print(table)
        _say(f"No verdict: {group.reason}.")


def _say(text: str, *, to_errors: bool = False) -> None:
    Console(stderr=to_errors).print(text, highlight=False, markup=False, soft_wrap=True)
