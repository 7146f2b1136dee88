"""The page: everything that was gathered, nothing that could run or load, and whole at any moment."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from decant.evidence import read_run
from decant.evidence.gathering import Gathered, gather
from decant.report.beside_teacher import Onlooker
from decant.report.html_page import report_html, write_report
from evidence.invented import write_run
from report.staged import HOSTILE, Staged, compared
from report.test_findings import FOUND

pytest.importorskip("jinja2", reason="the extra `report` is not installed")
LIBRARY = "const nothing = 0;"
ELEMENTS = """
html head meta link title style script noscript body a header nav main article section h1 h2 h3 h4 p ol ul li span
strong code pre dl dt dd details summary div table thead tbody tr th td figure figcaption fieldset legend label input
svg path img
"""


class Page(HTMLParser):
    """Elements, tables and scripts of a page, as a browser reads them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[list[list[str]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in {"td", "th"}:
            self.tables[-1][-1].append("")
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        tag = self.tags[-1][0] if self.tags else ""
        if tag == "script" and self.cdata_elem == "script":
            self.scripts[-1] += data
        elif tag in {"td", "th"} and data.strip():
            self.tables[-1][-1][-1] += data
        self.text += data

    def table(self, *headings: str) -> list[list[str]]:
        """The rows of the table whose headings begin with these."""
        (rows,) = [rows for rows in self.tables if rows[0][: len(headings)] == list(headings)]
        return rows[1:]


def page(gathered: Gathered, onlooker: Onlooker | None = None, refresh: int | None = None) -> Page:
    return Page(report_html(gathered, library=LIBRARY, onlooker=onlooker, refresh=refresh))


def test_the_tables_hold_the_numbers_of_the_runs(tmp_path: Path) -> None:
    folder = compared(tmp_path / "pair")
    shown = page(gather([folder]))
    runs = {(row[0], int(row[1])): row[2:] for row in shown.table("method", "seed")}
    assert len(runs) == 9
    for (method, seed), row in runs.items():
        lines = (folder / method / f"seed-{seed}" / "metrics.jsonl").read_text().splitlines()
        last = json.loads(lines[-1])
        assert row == [
            "3 of 3",
            f"{last['top1']:.2f}",
            f"{last['top1']:.2f}",
            f"{last['agreement']:.2f}",
            "3.5",
            "finished",
        ]
    results = {row[0]: row for row in shown.table("method", "settings")}
    assert results["dkd"][2] == "92.44 ± 0.19"
    (tckd,) = [rows for rows in shown.tables if rows[1][:2] == ["1", "0.25"]]
    assert tckd[0] == ["epoch", "dkd", "dkd, seed 0", "dkd, seed 1", "dkd, seed 2"]


def test_the_verdict_comes_first(tmp_path: Path) -> None:
    text = page(gather([compared(tmp_path)])).text
    headings = ["Verdict", "Result", "Learning curves", "Terms of the loss", "Student and teacher", "Time and size"]
    places = [text.index(heading) for heading in headings]
    assert places == sorted(places)
    assert "dkd against supervised: distillation helped: +2.12 [" in re.sub(r"\s+", " ", text)
    assert "give --data" in text


def test_student_and_teacher_are_shown_where_they_can_be_asked(tmp_path: Path) -> None:
    shown = page(gather([compared(tmp_path)]), onlooker=Staged())
    assert shown.table("method", "both right, %")[2] == ["dkd", "50.00", "16.67", "16.67", "16.67", "50.00"]
    every = [rows for rows in shown.tables if rows[0][:2] == ["class", "images"]]
    assert [rows[1] for rows in every] == [[HOSTILE, "2", "1", "1", "0", "0", "1"]] * 3
    pictures = [attributes for tag, attributes in shown.tags if tag == "img"]
    assert len(pictures) == 9
    assert all(str(each["src"]).startswith("data:image/png;base64,") for each in pictures)
    assert pictures[0]["alt"] == f"image 1, {HOSTILE}"
    assert "give --data" not in shown.text


def test_no_name_of_the_users_becomes_markup(tmp_path: Path) -> None:
    """Names of classes, methods, folders, data sets and terms, in text, attributes and data."""
    folder = compared(tmp_path / "<img src=x onerror=alert(1)>")
    for run in folder.glob("*/seed-*"):
        recipe = json.loads((run / "recipe.json").read_text())
        recipe["data"]["name"] = "</script><script>alert('data')</script>"
        (run / "recipe.json").write_text(json.dumps(recipe))
    told = json.loads((folder / "comparison.json").read_text())
    told["data"]["name"] = told["student"]["name"] = "</title><script>alert('name')</script>"
    (folder / "comparison.json").write_text(json.dumps(told))
    write_run(tmp_path / "broken<b>", top1=(50.0,))
    (tmp_path / "broken<b>" / "recipe.json").write_text("{<b>")
    write_run(
        tmp_path / "loose",
        method='x" onload="alert(1)</script><script>alert(2)',
        measured={"terms": {"<script>alert(1)</script>": 1.0}},
    )
    text = report_html(gather([tmp_path]), library=LIBRARY, onlooker=Staged())
    shown = Page(text)
    assert len(shown.scripts) == 3
    assert {tag for tag, _ in shown.tags} <= set(ELEMENTS.split())
    assert not [name for _, attributes in shown.tags for name in attributes if name.startswith("on")]
    assert "alert" not in "".join(shown.scripts[1:])
    assert json.loads(shown.scripts[0])
    assert text.count("<b>") == 0


def test_the_policy_lets_nothing_run_but_the_pages_own_scripts(tmp_path: Path) -> None:
    shown = page(gather([compared(tmp_path)]))
    (policy,) = [str(a["content"]) for tag, a in shown.tags if tag == "meta" and "http-equiv" in a]
    _, library, script = shown.scripts
    assert library == LIBRARY
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (library, script)]
    assert policy.split("; ")[:2] == ["default-src 'none'", f"script-src 'sha256-{hashes[0]}' 'sha256-{hashes[1]}'"]
    assert "unsafe-eval" not in policy
    sources = [str(a.get("src") or a.get("href")) for _, a in shown.tags if a.get("src") or a.get("href")]
    assert all(source.startswith(("#", "data:")) for source in sources)


def test_figures_are_drawn_from_what_stands_in_their_tables(tmp_path: Path) -> None:
    shown = page(gather([compared(tmp_path)]))
    figures = json.loads(shown.scripts[0])
    plots = {str(a["id"]): a for _, a in shown.tags if a.get("class") == "plot"}
    assert figures.keys() == plots.keys()
    lines = {line["name"]: line["y"] for line in figures["figure-0"]["data"]}
    assert lines["dkd, seed 2"] == [row["top1"] for row in read_run(tmp_path / "dkd" / "seed-2").metrics]
    boxes = [str(a["data-group"]) for tag, a in shown.tags if tag == "input"]
    assert boxes[:3] == ["supervised", "kd-matched", "dkd"]


def test_faults_unfinished_runs_and_studies_are_shown_too(tmp_path: Path) -> None:
    write_run(tmp_path / "going", finished=False)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "recipe.json").write_text("{")
    (tmp_path / "terms").mkdir()
    (tmp_path / "terms" / "findings.json").write_text(json.dumps(FOUND.to_json()))
    shown = page(gather([tmp_path]), refresh=5)
    text = re.sub(r"\s+", " ", shown.text)
    assert "Not shown, or not in agreement" in text
    assert "expected JSON in" in text
    assert "No verdict: 0 of 1 runs are finished." in text
    assert shown.table("method", "seed")[0][-1] == "unfinished"
    assert "What do the halves do?" in text
    assert shown.table("method", "top-1, %")[1] == ["dkd", "95.75", "+2.50 [+2.00, +3.00]"]
    assert ("meta", {"http-equiv": "refresh", "content": "5"}) in shown.tags


def test_nothing_to_show_is_a_page_too(tmp_path: Path) -> None:
    assert "there is no run in it or below it" in page(gather([tmp_path])).text


def test_a_page_that_would_be_the_same_is_left_alone(tmp_path: Path) -> None:
    folder, out = compared(tmp_path / "pair"), tmp_path / "new" / "page.html"
    assert write_report(gather([folder]), out, library=LIBRARY)
    before = out.stat().st_mtime_ns
    assert not write_report(gather([folder]), out, library=LIBRARY)
    assert out.stat().st_mtime_ns == before
    assert write_report(gather([folder]), out, library=LIBRARY, refresh=3)
    assert [path.name for path in out.parent.iterdir()] == ["page.html"]


def test_a_library_that_would_end_its_own_element_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds </script"):
        report_html(gather([tmp_path]), library="'</SCRIPT>'")
