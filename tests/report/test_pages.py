"""Tables in pages are what results/ says."""

import json
from pathlib import Path

import pytest

from decant.report.pages import main, refreshed
from decant.report.summary import tuning_of
from decant.report.table import comparison_markdown
from evidence.invented import comparison, result

REPOSITORY = Path(__file__).parents[2]
COMPARED = comparison(result("supervised", (93.0, 93.5, 92.5)), result("dkd", (95.5, 96.0, 95.75)))
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results" / "demo"
    folder.mkdir(parents=True)
    (folder / "comparison.json").write_text(json.dumps(COMPARED.to_json()))
    return tmp_path / "results"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_the_pages_agree_with_the_results(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert refreshed(text, REPOSITORY / "results") == text, "run `make tables`"


def test_a_block_holds_the_table_of_its_result_and_nothing_else_changes(results: Path) -> None:
    page = "before\n<!-- table: demo -->\nold\n<!-- end -->\nafter <!-- end -->\n"
    expected = f"before\n<!-- table: demo -->\n{comparison_markdown(COMPARED)}<!-- end -->\nafter <!-- end -->\n"
    assert refreshed(page, results) == expected
    assert refreshed(expected, results) == expected


def test_a_tuning_block_holds_what_was_tried(results: Path) -> None:
    made = refreshed("<!-- tuning: demo -->\n<!-- end -->\nafter", results)
    assert made == f"<!-- tuning: demo -->\n{tuning_of(COMPARED).strip()}\n<!-- end -->\nafter"


def test_a_verdict_block_holds_the_words(results: Path) -> None:
    made = refreshed("<!-- verdict: demo -->\n<!-- end -->", results)
    assert "against supervised" in made
    assert made.count("\n- ") > 1


def test_a_block_without_a_result_is_refused(results: Path) -> None:
    with pytest.raises(FileNotFoundError, match="'other'"):
        refreshed("<!-- table: other -->\n<!-- end -->", results)


def test_the_command_rewrites_or_only_checks(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(results.parent)
    page = results.parent / "page.md"
    page.write_text("<!-- table: demo -->\nold\n<!-- end -->\n")
    assert main(["--check", "page.md"]) == 1
    assert "make tables" in capsys.readouterr().out
    assert "old" in page.read_text()
    assert main(["page.md"]) == 0
    assert "old" not in page.read_text()
    assert main(["--check", "page.md"]) == 0
