import csv
import io
import json
from pathlib import Path

from decant.evidence.gathering import gather
from decant.report.gathered_text import gathered_csv, gathered_markdown
from decant.report.pages import refreshed
from evidence.invented import write_run
from report.staged import compared
from report.test_findings import FOUND


def test_markdown_is_that_of_a_readmes_own_blocks(tmp_path: Path) -> None:
    compared(tmp_path / "pair")
    blocks = refreshed("<!-- table: pair -->\n<!-- end -->\n<!-- verdict: pair -->\n<!-- end -->", tmp_path)
    text = gathered_markdown(gather([tmp_path / "pair"]))
    assert text.startswith("## digits: student digits_student, teacher digits_teacher\n\n| method |")
    lines = [line for line in blocks.splitlines() if not line.startswith("<!--")]
    assert [line for line in text.splitlines()[2:] if line] == lines


def test_markdown_of_unfinished_runs_and_studies(tmp_path: Path) -> None:
    write_run(tmp_path / "run", finished=False)
    (tmp_path / "terms").mkdir()
    (tmp_path / "terms" / "findings.json").write_text(json.dumps(FOUND.to_json()))
    text = gathered_markdown(gather([tmp_path]))
    assert "## study terms\n\n**Halves**\n\n| method | top-1, % | difference |" in text
    assert "| dkd | 0 | 3 of 3 | 92.00 | 92.50 | - | - | unfinished |" in text
    assert "No verdict: 0 of 1 runs are finished." in text


def test_every_line_of_every_log_is_a_row(tmp_path: Path) -> None:
    folder = compared(tmp_path / "pair")
    rows = list(csv.DictReader(io.StringIO(gathered_csv(gather([folder])))))
    assert len(rows) == 27
    for row in rows:
        lines = (Path(row["folder"]) / "metrics.jsonl").read_text().splitlines()
        logged = json.loads(lines[int(row["epoch"]) - 1])
        assert float(row["top1"]) == logged["top1"]
        assert float(row["terms.hard"]) == logged["terms"]["hard"]
        assert row["terms.tckd"] == str(logged["terms"].get("tckd", ""))
    assert {row["method"] for row in rows} == {"supervised", "kd-matched", "dkd"}
