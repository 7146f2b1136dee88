"""`decant report`: what it prints and writes, what it refuses, and that it changes no run."""

import csv
import io
from pathlib import Path

import pytest

from command_line import Run
from decant.evidence.gathering import gather
from decant.report import comparison_markdown, html_page
from evidence.invented import write_run
from evidence.test_gathering import snapshot
from report.staged import compared


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A comparison in `runs/pair`, and a page that needs no plotting library."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(html_page, "plotting_library", lambda: "const nothing = 0;")
    compared(tmp_path / "runs" / "pair")
    return tmp_path


def test_the_terminal_shows_table_and_verdict(decant: Run, here: Path) -> None:
    before = snapshot(here / "runs")
    code, out, err = decant("report", "runs")
    assert (code, err) == (0, "")
    assert "92.44" in out
    assert "± 0.19" in out
    assert "dkd against supervised: distillation helped: +2.12" in out
    assert snapshot(here / "runs") == before


def test_runs_without_a_comparison_are_a_table_with_the_reason(decant: Run, here: Path) -> None:
    write_run(here / "[red]going", finished=False)
    _, out, _ = decant("report", "[red]going")
    assert "[red]going" in out
    assert "unfinished" in out
    assert "No verdict: 0 of 1 runs are finished." in out


def test_tables_and_rows_go_to_standard_output_alone(decant: Run, here: Path) -> None:
    (group,) = gather([here / "runs"]).groups
    assert group.comparison is not None
    code, out, _ = decant("report", "runs", "nowhere", "--markdown")
    assert code == 0
    assert comparison_markdown(group.comparison) in out
    code, out, err = decant("report", "runs", "nowhere", "--csv")
    assert len(list(csv.DictReader(io.StringIO(out)))) == 27
    assert "not shown: nowhere: there is no such folder" in err


def test_the_page_is_written_and_written_again(decant: Run, here: Path) -> None:
    pytest.importorskip("jinja2", reason="the extra `report` is not installed")
    before = snapshot(here / "runs")
    code, out, err = decant("report", "runs/pair", "--html", "out/page.html")
    assert (code, err) == (0, "")
    assert "in out/page.html" in out
    assert "92.44 ± 0.19" in (here / "out" / "page.html").read_text()
    assert snapshot(here / "runs") == before
    assert decant("report", "runs/pair", "--html", "out/page.html", "--watch", "--every", "1")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nothing to show"),
        (["runs", "--watch"], "say with --html where to write it"),
        (["runs", "--data", "data"], "say with --html where to write it"),
        (["runs", "--html", "runs"], "names a file to write, and runs is a folder"),
        (["runs", "--html", "page"], "ends in .html"),
        (["runs", "--html", "notes.html"], "is no page of decant's"),
    ],
)
def test_what_makes_no_sense_or_would_overwrite_is_refused(
    decant: Run, here: Path, arguments: list[str], message: str
) -> None:
    (here / "notes.html").write_text("<p>mine</p>")
    code, _, err = decant("report", *arguments)
    assert code == 2
    assert message in err
    assert (here / "notes.html").read_text() == "<p>mine</p>"


def test_what_the_page_needs_is_named(decant: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.chdir(here)
    monkeypatch.setitem(__import__("sys").modules, "plotly.offline", None)
    code, _, err = decant("report", "runs", "--html", "page.html")
    assert code == 2
    assert "pip install 'decant-kd[report]'" in err
    assert not (here / "page.html").exists()
