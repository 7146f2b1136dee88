from pathlib import Path

import pytest
from rich.console import Console

from decant.evidence import Comparison, compare_runs, read_run
from decant.report import comparison_markdown, comparison_table
from evidence.invented import DKD, KD_MATCHED, TEACHER, comparison, result, write_run

COMPARED = comparison(
    result("supervised", (93.0, 93.5, 92.5)),
    result("kd-matched", (95.0, 95.5, 94.75)),
    result("dkd", (95.5, 96.0, 95.75)),
)


def cells(comparison: Comparison) -> dict[str, dict[str, str]]:
    """Method -> heading -> cell of the Markdown table."""
    heading, rule, *rows = [line.strip("| ").split(" | ") for line in comparison_markdown(comparison).splitlines()]
    assert len(rule) == len(heading)
    return {row[0]: dict(zip(heading, row, strict=True)) for row in rows}


def printed(comparison: Comparison, width: int) -> str:
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(comparison_table(comparison))
    return capture.get()


def test_markdown_holds_what_was_measured() -> None:
    row = cells(COMPARED)["dkd"]
    assert row == {
        "method": "dkd",
        "settings": "task weight 1, alpha 1, beta 2, temperature 4, warmup 20",
        "last epoch, %": "95.75 ± 0.25",
        "best epoch, %": "96.00 ± 0.25",
        # By hand: 2.5, 2.5, 3.25 with std 0.4330 and 0.5, 0.5, 1 with std 0.2887; half width 4.3027 std / sqrt(3).
        "against supervised [95%]": "+2.75 [+1.67, +3.83]",
        "against kd-matched [95%]": "+0.67 [-0.05, +1.38]",
        "seconds per run": "4.0",
        "seeds": "3",
    }
    assert cells(COMPARED)["supervised"]["against supervised [95%]"] == "-"
    assert cells(COMPARED)["kd-matched"]["against kd-matched [95%]"] == "-"


def test_markdown_of_run_folders_holds_the_numbers_of_their_metrics(tmp_path: Path) -> None:
    runs = {
        "supervised": [write_run(tmp_path / f"s{seed}", method="supervised", seed=seed) for seed in (0, 1)],
        "kd-matched": [
            write_run(tmp_path / f"k{seed}", method="kd", settings=KD_MATCHED, seed=seed, teacher=TEACHER)
            for seed in (0, 1)
        ],
        "dkd": [
            write_run(tmp_path / f"d{seed}", settings=DKD, seed=seed, top1=(90.0, 95.0, 94.0 - seed), teacher=TEACHER)
            for seed in (0, 1)
        ],
    }
    row = cells(compare_runs({name: [read_run(path) for path in paths] for name, paths in runs.items()}))["dkd"]
    assert row["last epoch, %"] == "93.50 ± 0.71"
    assert row["best epoch, %"] == "95.00 ± 0.00"
    assert row["against supervised [95%]"].startswith("+1.50 [")


def test_one_seed_has_neither_spread_nor_interval() -> None:
    row = cells(comparison(result("supervised", (93.0,)), result("dkd", (95.5,))))["dkd"]
    assert row["last epoch, %"] == "95.50"
    assert row["against supervised [95%]"] == "+2.50"


def test_columns_for_what_did_not_run_are_left_out() -> None:
    headings = cells(comparison(result("kd", (95.0, 95.5)), result("dkd", (95.5, 96.0))))["dkd"]
    assert not any("against" in heading for heading in headings)


def test_markdown_cells_cannot_break_the_table() -> None:
    odd = comparison(result("a|b", (95.0, 95.5), {"note": "x|y\nz"}, method="odd"))
    line = comparison_markdown(odd).splitlines()[2]
    assert line.startswith("| a\\|b | note x\\|y z | 95.25 ± 0.35 |")


@pytest.mark.parametrize("width", [80, 100, 160])
def test_the_terminal_shows_every_cell_whole(width: int) -> None:
    text = printed(COMPARED, width)
    assert max(len(line) for line in text.splitlines()) <= width
    assert "…" not in text
    for name, row in cells(COMPARED).items():
        assert any(line.startswith(f"{name} ") for line in text.splitlines())
        for heading, cell in row.items():
            parts = [cell] if heading == "settings" else cell.replace(" ±", "|±").replace(" [", "|[").split("|")
            assert all(part in text for part in parts)
    assert "digits: student digits_student, teacher digits_teacher" in text


def test_the_terminal_takes_names_literally() -> None:
    text = printed(comparison(result("[red]dkd", (95.0, 95.5), method="odd")), 80)
    assert "[red]dkd" in text
