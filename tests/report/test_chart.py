from itertools import combinations
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text

from decant.report import comparison_chart
from decant.report.chart import comparison_figure
from evidence.invented import comparison, result

FOUR = comparison(
    result("supervised", (93.0, 93.5, 92.5)),
    result("kd", (94.0, 94.5, 95.0)),
    result("kd-matched", (95.0, 95.5, 94.75)),
    result("dkd", (95.5, 96.0, 95.75)),
)
CASES = {
    "four methods": FOUR,
    "no control": comparison(*FOUR.results[:2], FOUR.results[3]),
    "one seed": comparison(result("supervised", (93.0,)), result("kd-matched", (95.0,)), result("dkd", (96.0,))),
    "one method": comparison(FOUR.results[3]),
    "no spread": comparison(result("supervised", (93.0, 93.0)), result("dkd", (93.0, 93.0))),
    "many methods": comparison(
        *FOUR.results, *(result(f"another way to distil {i}", (9.5 * i, 9.5 * i + 4, 50), method="x") for i in range(8))
    ),
    "long title": comparison(
        FOUR.results[3], student={"name": "a_student_with_a_name_of_many_letters"}, data={"name": "a_large_data_set"}
    ),
}


def texts(figure: Figure) -> list[Text]:
    """All texts that are drawn; matplotlib also keeps labels of ticks outside the axes."""
    figure.draw_without_rendering()
    unseen = set()
    for axis in figure.findobj(Axis):
        assert isinstance(axis, Axis)
        low, high = sorted(axis.get_view_interval())
        ticks = [tick for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high]
        unseen |= {label for tick in ticks for label in (tick.label1, tick.label2)}
    found = [text for text in figure.findobj(Text) if isinstance(text, Text) and text not in unseen]
    return [text for text in found if text.get_visible() and text.get_text()]


@pytest.mark.parametrize("case", CASES)
def test_the_file_is_a_whole_png_of_sane_size(case: str, tmp_path: Path) -> None:
    path = tmp_path / "chart.png"
    assert comparison_chart(CASES[case], path) == path
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert content.endswith(b"IEND\xaeB`\x82")
    assert 5_000 < len(content) < 500_000
    height, width, _ = matplotlib.image.imread(path).shape
    assert 600 < width < 2500
    assert 300 < height < 2500
    assert [file.name for file in tmp_path.iterdir()] == ["chart.png"]


@pytest.mark.parametrize("case", CASES)
def test_no_text_overlaps_another_or_leaves_the_picture(case: str) -> None:
    figure = comparison_figure(CASES[case])
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts(figure)]
    assert len(boxes) > 5
    whole = figure.bbox
    for words, box in boxes:
        inside = whole.x0 <= box.x0 and box.x1 <= whole.x1 and whole.y0 <= box.y0 and box.y1 <= whole.y1
        assert inside, words
    overlapping = {(a, b) for (a, one), (b, other) in combinations(boxes, 2) if one.overlaps(other)}
    assert not overlapping


def drawn(figure: Figure, panel: int) -> np.ndarray:
    """Horizontal places of all dots and diamonds of a panel."""
    axes = figure.axes[panel]
    return np.concatenate([np.asarray(dots.get_offsets())[:, 0] for dots in axes.collections])


def test_every_seed_every_mean_and_every_interval_is_drawn() -> None:
    figure = comparison_figure(FOUR)
    assert len(figure.axes) == 2
    seeds = [value for item in FOUR.results for value in item.last.values()]
    means = [item.last_score.mean for item in FOUR.results]
    assert sorted(drawn(figure, 0)) == sorted(seeds + means)
    bars = {tuple(np.asarray(line.get_xdata())) for line in figure.axes[0].lines}
    intervals = [FOUR.interval(item.name) for item in FOUR.results]
    assert bars == {(interval.low, interval.high) for interval in intervals}


def test_differences_are_drawn_against_the_control_with_a_zero_line() -> None:
    figure = comparison_figure(FOUR)
    zero, *bars = [tuple(np.asarray(line.get_xdata())) for line in figure.axes[1].lines]
    assert zero == (0, 0)
    intervals = [FOUR.difference(name, "kd-matched") for name in ("supervised", "kd", "dkd")]
    assert bars == [(interval.low, interval.high) for interval in intervals if interval is not None]
    assert any("kd-matched, paired by seed" in text.get_text() for text in texts(figure))
    assert any(
        "supervised, paired by seed" in text.get_text() for text in texts(comparison_figure(CASES["no control"]))
    )


def test_the_title_says_what_was_compared() -> None:
    assert "digits: student digits_student, teacher digits_teacher" in [
        text.get_text() for text in texts(comparison_figure(FOUR))
    ]


def test_an_equal_picture_is_an_equal_file(tmp_path: Path) -> None:
    one, other = (comparison_chart(FOUR, tmp_path / name).read_bytes() for name in ("one.png", "other.png"))
    assert one == other


def test_a_failure_leaves_the_old_picture_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = comparison_chart(FOUR, tmp_path / "chart.png")
    before = path.read_bytes()

    def fail_half_way(figure: Figure, target: Path, **_: object) -> None:
        Path(target).write_bytes(b"half a picture")
        raise OSError("no space left")

    monkeypatch.setattr(Figure, "savefig", fail_half_way)
    with pytest.raises(OSError, match="no space left"):
        comparison_chart(CASES["no control"], path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["chart.png"]


def test_other_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ends in \.png"):
        comparison_chart(FOUR, tmp_path / "chart.pdf")
