"""A report as one file of HTML that needs nothing else: no network, no other file, and no script but its own."""

import base64
import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from decant.engine.checkpoint import write_text
from decant.evidence.gathering import Gathered, RunGroup
from decant.report.beside_sections import beside_sections
from decant.report.beside_teacher import Onlooker
from decant.report.chapters import group_chapter, study_chapter
from decant.report.parts import Chapter

_FOLDER = Path(__file__).parent / "page"
_NEEDS = "the page needs {}: pip install 'decant-kd[report]'"


def plotting_library() -> str:
    """The source of plotly.js, as its Python package carries it.

    Raises:
        ImportError: the extra `report` is not installed.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise ImportError(_NEEDS.format("plotly")) from error
    return str(get_plotlyjs())


def report_html(
    gathered: Gathered, *, library: str, onlooker: Onlooker | None = None, refresh: int | None = None
) -> str:
    """The page of everything that was gathered.

    Names of classes, methods and files are the user's: all are escaped. The page's policy lets it load nothing and run
    nothing but the two scripts that are in it, known by their SHA-256.

    Args:
        gathered: what was found.
        library: source of the plotting library; see :func:`plotting_library`.
        onlooker: asks students and teachers; None leaves that out and says how to get it.
        refresh: seconds after which the page loads itself again; None for a page that stays as it is.

    Raises:
        ImportError: the extra `report` is not installed.
    """
    chapters = [study_chapter(findings, path) for path, findings in gathered.studies.items()]
    chapters += [group_chapter(group, beside_sections(group, onlooker)) for group in gathered.groups]
    return _rendered(chapters, gathered, library, refresh)


def write_report(
    gathered: Gathered, path: Path, *, library: str, onlooker: Onlooker | None = None, refresh: int | None = None
) -> bool:
    """Write the page, whole or not at all; one that would be the same is left alone. Returns whether it was written."""
    text = report_html(gathered, library=library, onlooker=onlooker, refresh=refresh)
    if path.is_file() and path.read_bytes() == text.encode():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)
    return True


def _rendered(chapters: Sequence[Chapter], gathered: Gathered, library: str, refresh: int | None) -> str:
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
        from markupsafe import Markup
    except ImportError as error:
        raise ImportError(_NEEDS.format("jinja2")) from error
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    figures = [figure for chapter in chapters for section in chapter.sections for figure in section.figures]
    ids = {id(figure): f"figure-{place}" for place, figure in enumerate(figures)}
    drawn = {ids[id(figure)]: {"data": figure.data, "layout": figure.layout} for figure in figures}
    script, library = (_FOLDER / "page.js").read_text(encoding="utf-8"), library.strip()
    if "</script" in library.lower():
        raise ValueError("the plotting library's source holds </script, which would end it within a page")
    # Markup: what is ours and not to be escaped. The data cannot end its element, there is no < in it.
    data = json.dumps(drawn, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    title = (
        chapters[0].title
        if len(chapters) == 1
        else f"Report on {len(chapters)} groups"
        if chapters
        else "Nothing to show"
    )
    return environment.get_template("page.html.jinja").render(
        title=title,
        told=_told(gathered, refresh),
        chapters=chapters,
        faults=gathered.faults,
        ids=_ById(ids),
        refresh=refresh,
        policy=_policy(library, script),
        style=Markup((_FOLDER / "page.css").read_text(encoding="utf-8")),
        figures=Markup(data),
        library=Markup(library),
        script=Markup(script),
    )


class _ById:
    """Figure -> its id on the page, by identity: equal figures are drawn twice."""

    def __init__(self, ids: dict[int, str]) -> None:
        self._ids = ids

    def __getitem__(self, figure: object) -> str:
        return self._ids[id(figure)]


def _policy(*scripts: str) -> str:
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in scripts
    )
    # Styles in place are what the plotting library draws with; they can neither run nor, with this policy, load.
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )


def _told(gathered: Gathered, refresh: int | None) -> str:
    runs = [run for group in gathered.groups for run in group.every_run]
    finished = sum(run.finished for run in runs)
    when = max((time for group in gathered.groups for time in _times(group)), default=None)
    as_of = f", as of {datetime.fromtimestamp(when, UTC):%Y-%m-%d %H:%M:%S} UTC" if when is not None else ""
    again = f"; written again while they train, loaded again every {refresh} s" if refresh else ""
    return f"{finished} of {len(runs)} runs finished{as_of}{again}. Made by decant report."


def _times(group: RunGroup) -> list[float]:
    times = []
    for run in group.every_run:
        try:
            times.append((run.path / "metrics.jsonl").stat().st_mtime)
        except OSError:
            continue  # a run that has only begun
    return times
