"""The page and the figure of a study: everything that was found, and nothing else."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from decant.evidence import Findings, Heatmap, Interval, MeanStd, Panel, Series, Table
from decant.report import findings_markdown, write_findings
from decant.report.findings_chart import findings_figure
from evidence.invented import comparison, result, tuned

COMPARED = comparison(
    result("supervised", (93.0, 93.5, 92.5)),
    result("kd-matched", (95.0, 95.5, 94.75), tuning=tuned("weight")),
    result("dkd", (95.5, 96.0, 95.75), tuning=tuned("beta")),
)
LINES = Panel(
    "lines",
    "beta",
    "top-1, %",
    (
        Series("dkd", (1.0, 8.0), (90.0, 95.0), (89.0, None), (91.0, None), labels=("a", "b")),
        *(Series(f"more {place}", (2.0,), (92.0,)) for place in range(7)),
    ),
    levels={"student alone": 88.0},
    logarithmic=True,
)
NAMED = Panel(
    "named", "", "points", (Series("", (0.0, 1.0), (1.0, -1.0), joined=False),), ticks={0.0: "kd", 1.0: "dkd"}
)
MATRIX = Heatmap("matrix", ((0.0, 0.5), (0.25, 0.0)), "difference", highest=2.0)
FOUND = Findings(
    study="terms",
    question="What do the halves do?",
    comparisons={"a pair": COMPARED},
    tables=(
        Table(
            ("method", "top-1, %", "difference"),
            (("supervised", MeanStd(93.0, 0.5), None), ("dkd", 95.75, Interval(2.5, 2.0, 3.0, 3, 0.95))),
            title="Halves",
            note="In percent.",
        ),
    ),
    panels=(LINES, NAMED, MATRIX, NAMED),
    shown=("dkd helps.",),
    not_shown=("kd may.",),
    caveats=("Three seeds.",),
)


def test_the_page_has_question_command_result_and_what_was_run() -> None:
    page = findings_markdown(FOUND, command="decant study terms --demo", figure="figure.png")
    assert page.startswith("# terms\n\nWhat do the halves do?\n\n```\ndecant study terms --demo\n```\n\n## Result\n")
    assert "**Halves**\n\n| method | top-1, % | difference |\n| --- | ---: | ---: |\n" in page
    assert "| supervised | 93.00 ± 0.50 | - |\n| dkd | 95.75 | +2.50 [+2.00, +3.00] |\n\nIn percent." in page
    assert "![terms](figure.png)" in page
    for heading, sentence in (
        ("What it shows", "dkd helps."),
        ("What it does not show", "kd may."),
        ("Read with care", "Three seeds."),
    ):
        assert f"## {heading}\n\n- {sentence}\n" in page
    run = page.split("## What was run\n")[1]
    assert run.startswith("\n### a pair\n")
    assert "  - dkd: " in run
    assert "| dkd | beta | " in run


def test_nothing_found_is_said_too() -> None:
    page = findings_markdown(replace(FOUND, shown=(), not_shown=()), command="decant study terms")
    assert "## What it shows\n\nNothing.\n" in page
    assert "## What it does not show\n\nEvery question above has an answer.\n" in page
    assert "![" not in page


def places(data: object) -> list[float]:
    """What matplotlib keeps of a line's coordinates."""
    return [float(value) for value in np.asarray(data)]


def test_the_figure_has_every_panel_with_its_points() -> None:
    figure = findings_figure(FOUND)
    axes = [one for one in figure.axes if one.get_visible() and one.get_label() != "<colorbar>"]
    assert [one.get_title(loc="left") for one in axes] == ["lines", "named", "matrix", "named"]
    lines, named, matrix, _ = axes
    drawn = {str(line.get_label()): line for line in lines.get_lines()}
    assert places(drawn["dkd"].get_xdata()) == [1.0, 8.0]
    assert places(drawn["dkd"].get_ydata()) == [90.0, 95.0]
    assert places(drawn["student alone"].get_ydata()) == [88.0, 88.0]
    assert [places(line.get_ydata()) for line in lines.get_lines() if places(line.get_xdata()) == [1.0, 1.0]] == [
        [89, 91]
    ]
    looks = {(drawn[name].get_color(), drawn[name].get_marker()) for name in drawn if name != "student alone"}
    assert len({name for name in drawn if name.startswith(("dkd", "more"))}) == 8
    assert len(looks) >= 8, "no two series look alike"
    assert {text.get_text() for text in lines.texts} == {"a", "b"}
    assert [text.get_text() for text in named.get_xticklabels()] == ["kd", "dkd"]
    (image,) = matrix.get_images()
    assert image.get_clim() == (0, 2.0)
    assert sum(not one.get_visible() for one in figure.axes) == 2, "what is left of the last row"


def test_everything_is_written_with_its_numbers(tmp_path: Path) -> None:
    write_findings(FOUND, tmp_path / "deep" / "terms", command="decant study terms")
    folder = tmp_path / "deep" / "terms"
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "figure.png", "findings.json"]
    kept = json.loads((folder / "findings.json").read_text())
    assert kept["tables"][0]["rows"][1] == ["dkd", 95.75, {"mean": 2.5, "low": 2.0, "high": 3.0, "n": 3, "level": 0.95}]
    assert kept["panels"][0]["series"][0]["low"] == [89.0, None]
    assert kept["panels"][2]["values"] == [[0.0, 0.5], [0.25, 0.0]]
    assert kept["comparisons"]["a pair"]["results"][2]["name"] == "dkd"
    before = (folder / "figure.png").read_bytes()
    write_findings(FOUND, folder, command="decant study terms")
    assert (folder / "figure.png").read_bytes() == before, "equal pictures are equal files"


def test_what_does_not_fit_together_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 2 cells in every row, got 1"):
        Table(("a", "b"), (("x",),))
    with pytest.raises(ValueError, match="got 2 x, 1 y"):
        Series("bad", (0.0, 1.0), (0.0,))
    with pytest.raises(ValueError, match="got 1 x, 1 y, 1 low, 0 high"):
        Series("bad", (0.0,), (0.0,), low=(0.0,))
    with pytest.raises(ValueError, match="expected at least one panel to draw, got none"):
        findings_figure(replace(FOUND, panels=()))
