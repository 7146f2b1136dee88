"""A figure draws what its panel holds, and its table has the same numbers."""

import json

import pytest

from decant.evidence import Heatmap, Panel, Series
from decant.report.figures import figure_of
from report.test_findings import LINES, MATRIX, NAMED

SEEDS = Panel(
    "top-1",
    "epoch",
    "%",
    (
        Series("dkd", (1.0, 2.0), (50.0, 60.0)),
        Series("dkd, seed 0", (1.0, 2.0), (49.0, float("nan"))),
        Series("kd, seed 0", (2.0, 3.0), (40.0, 41.5)),
    ),
)
GROUPS = {"kd, seed 0": "kd", "dkd, seed 0": "dkd", "dkd": "dkd"}


def test_lines_have_the_points_ends_and_labels_of_their_series() -> None:
    figure = figure_of(LINES)
    first, *_, level = figure.data
    assert (first["name"], first["x"], first["y"], first["text"]) == ("dkd", [1.0, 8.0], [90.0, 95.0], ["a", "b"])
    assert (first["error_y"]["array"], first["error_y"]["arrayminus"]) == ([1.0, None], [1.0, None])
    assert (level["name"], level["x"], level["y"]) == ("student alone", [1.0, 8.0], [88.0, 88.0])
    assert figure.layout["xaxis"]["type"] == "log"
    assert figure.numbers.headings[:2] == ("beta", "dkd")
    assert figure.numbers.rows[0] == ("1", "90 [89, 91] (a)", *["-"] * 7, "88")
    assert len({(line["line"]["color"], line["marker"]["symbol"]) for line in figure.data[:-1]}) == 8


def test_names_on_an_axis_are_names_in_the_table() -> None:
    figure = figure_of(NAMED)
    assert figure.layout["xaxis"]["ticktext"] == ["kd", "dkd"]
    assert figure.data[0]["mode"] == "markers"
    assert figure.numbers.rows == (("kd", "1"), ("dkd", "-1"))


def test_a_group_has_one_colour_in_all_figures_and_its_mean_stands_out() -> None:
    mean, seed, other = figure_of(SEEDS, GROUPS).data
    assert [line["legendgroup"] for line in (mean, seed, other)] == ["dkd", "dkd", "kd"]
    assert mean["line"]["color"] == seed["line"]["color"] != other["line"]["color"]
    assert (mean["opacity"], other["opacity"]) == (1, 1)
    assert seed["opacity"] < 1
    alone = figure_of(Panel("nckd", "epoch", "", SEEDS.series[:1]), GROUPS)
    assert alone.data[0]["line"]["color"] == mean["line"]["color"]
    assert list(alone.groups) == ["dkd"]
    assert alone.groups["dkd"].colour == mean["line"]["color"]


def test_what_is_no_number_is_a_gap() -> None:
    figure = figure_of(SEEDS, GROUPS)
    assert figure.data[1]["y"] == [49.0, None]
    assert figure.numbers.rows == (("1", "50", "49", "-"), ("2", "60", "-", "40"), ("3", "-", "-", "41.5"))
    json.dumps(figure.data, allow_nan=False)


def test_a_matrix_is_shown_whole_or_by_its_largest_cells() -> None:
    small = figure_of(MATRIX, names=("cat", "dog"))
    assert small.data[0]["z"] == [[0.0, 0.5], [0.25, 0.0]]
    assert (small.data[0]["zmax"], small.data[0]["x"]) == (2.0, ["cat", "dog"])
    assert small.numbers.rows == (("cat", "0", "0.5"), ("dog", "0.25", "0"))
    values = tuple(tuple(abs(i - j) / 30 for j in range(30)) for i in range(30))
    large = figure_of(Heatmap("m", values, "difference"))
    assert large.numbers.rows[0] == ("0", "29", "0.96667")
    assert len(large.numbers.rows) == 20
    assert large.numbers.note == "The 20 largest of 435."


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "<b>bold</b>", "a & b"])
def test_names_are_no_markup_to_the_plotting_library(name: str) -> None:
    panel = Panel("t", name, name, (Series(name, (0.0,), (1.0,), labels=(name,)),), ticks={0.0: name})
    figure = figure_of(panel)
    assert "<" not in json.dumps([figure.data[0]["name"], figure.data[0]["text"], figure.layout])
    assert figure.numbers.rows[0][0] == name
