"""The page over the pairs of a suite."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from decant.engine.suite import SUITES
from decant.evidence import Comparison
from decant.evidence.published import PROTOCOLS, PUBLISHED, is_protocol
from decant.report.pages import refreshed
from decant.report.reproduction import (
    gains_markdown,
    pairs_markdown,
    read_pairs,
    repeat_markdown,
    reproduction_page,
)
from evidence.invented import comparison, result

REPOSITORY = Path(__file__).parents[2]


def of_pair(teacher: str, student: str, *, kd: tuple[float, ...] = (71.0, 71.5, 70.5)) -> Comparison:
    made = comparison(
        result("supervised", (69.0, 69.5, 68.5)),
        result("kd", kd),
        result("kd-matched", (72.0, 72.5, 71.5)),
        result("dkd", (72.5, 72.9, 72.1)),
    )
    return replace(
        made,
        student={"name": student},
        teachers=({"name": teacher, "sha256": "c0ffee", "top1": 72.0},),
        data={"name": "cifar100"},
    )


def keep(folder: Path, name: str, compared: Comparison) -> None:
    (folder / name).mkdir(parents=True)
    (folder / name / "comparison.json").write_text(json.dumps(compared.to_json()))


def cells(table: str) -> list[list[str]]:
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()]
    return [rows[0], *rows[2:]]


def test_pairs_come_in_the_order_of_the_published_tables_and_other_comparisons_stay_out(tmp_path: Path) -> None:
    keep(tmp_path, "wrn_16_2-wrn_16_1", of_pair("wrn_16_2", "wrn_16_1"))
    keep(tmp_path, "vgg13-vgg8", of_pair("vgg13", "vgg8"))
    keep(tmp_path, "resnet56-resnet20", of_pair("resnet56", "resnet20"))
    keep(tmp_path, "every-method", of_pair("resnet20", "resnet8"))
    assert list(read_pairs(tmp_path)) == ["resnet56-resnet20", "vgg13-vgg8", "wrn_16_2-wrn_16_1"]


def test_a_published_number_stands_beside_ours_under_its_own_protocol_alone() -> None:
    pairs = {"resnet56-resnet20": of_pair("resnet56", "resnet20")}
    head, *rows = cells(pairs_markdown(pairs, published=True))
    assert head[4:] == ["published (best epoch), %", "difference", "seeds"]
    by_method = {row[1]: row for row in rows}
    assert by_method["(teacher)"][2:] == ["72.00", "-", "72.34", "-", "1"]
    best = pairs["resnet56-resnet20"].result("dkd").best_score.mean
    assert by_method["dkd"][4:] == ["71.97", f"{best - 71.97:+.2f}", "3"]
    assert by_method["kd-matched"][4:] == ["-", "-", "3"]
    head, *rows = cells(pairs_markdown(pairs, published=False))
    assert head == ["pair", "method", "last epoch, %", "best epoch, %", "seeds"]
    assert "71.97" not in pairs_markdown(pairs, published=False)


def test_gains_are_paired_and_beside_the_published_gain() -> None:
    pairs = {"resnet56-resnet20": of_pair("resnet56", "resnet20")}
    _, row = cells(gains_markdown(pairs, published=True))
    assert row[:2] == ["resnet56-resnet20", "+1.31"]
    assert row[2].startswith("+1.50 [")
    assert row[3].startswith("+0.50 [")
    assert "published" not in gains_markdown(pairs, published=False)


def test_every_run_has_its_line_and_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="decant reproduce quick"):
        read_pairs(tmp_path / "quick")
    keep(tmp_path / "quick", "resnet56-resnet20", of_pair("resnet56", "resnet20"))
    page = reproduction_page(tmp_path / "quick", title="small", command="decant reproduce quick", published=False)
    assert page.count("`decant train quick/resnet56-resnet20/") == 4 * 3, "and no path of this machine"
    assert str(tmp_path) not in page
    assert "not the protocol of the published tables" in page


def test_a_block_over_all_pairs_is_made_from_their_folders(tmp_path: Path) -> None:
    keep(tmp_path / "quick", "resnet56-resnet20", of_pair("resnet56", "resnet20"))
    made = refreshed("<!-- gains: quick -->\nold\n<!-- end -->\n<!-- pairs: quick -->\n<!-- end -->", tmp_path)
    assert "old" not in made
    assert made.count("resnet56-resnet20") == 1 + 4


def test_every_published_pair_has_all_columns_of_the_papers_table() -> None:
    columns = {"teacher", "supervised", "kd", "fitnet", "rkd", "crd", "reviewkd", "dkd"}
    assert len(PUBLISHED) == 11
    for row in PUBLISHED.values():
        assert columns <= row.keys()
        assert row["teacher"] > row["supervised"]


@pytest.mark.parametrize(
    "page", sorted((REPOSITORY / "results").glob("*/README.md")), ids=lambda page: page.parent.name
)
def test_the_page_of_a_suite_agrees_with_its_pairs(page: Path) -> None:
    suite = page.parent.name
    if suite not in SUITES:
        return
    text, pairs = page.read_text(encoding="utf-8"), read_pairs(page.parent)
    published, folder = suite in PROTOCOLS, Path("results") / suite
    tables = (pairs_markdown(pairs, published=published), gains_markdown(pairs, published=published))
    for table in (*tables, repeat_markdown(pairs, folder)):
        assert table in text, f"`decant reproduce {suite}` writes it"


@pytest.mark.parametrize(
    ("changes", "still"),
    [
        ([], True),
        (["train.compile=true", "teacher.recipe.train.compile=true", "train.checkpoint_steps=100"], True),
        (["train.precision=bf16"], False),
        (["train.compile=true", "train.epochs=100"], False),
        (["teacher.recipe.train.epochs=100"], False),
        (["seed=3"], False),
    ],
)
def test_only_rounding_may_change_beside_published_numbers(changes: list[str], still: bool) -> None:
    assert is_protocol("cifar100", changes) is still
    assert not is_protocol("quick", changes)
