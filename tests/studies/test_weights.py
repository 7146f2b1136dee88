from pathlib import Path

from decant.evidence import Panel
from decant.studies.weights import points
from studies.small import PAIR, RECIPE, study


def test_one_setting_moves_at_a_time_and_equal_points_are_run_once(ground: Path) -> None:
    found = study("weights", ground)
    comparison = found.comparisons[PAIR]
    base = comparison.result("dkd-beta-2").settings
    for result in comparison.results[1:]:
        method, setting, value = result.name.split("-")
        assert (result.method, result.settings[setting]) == (method, float(value))
        assert result.tuning is None
        if method == "dkd":
            assert {key for key in base if result.settings[key] != base[key]} <= {setting}
    names = [result.name for result in comparison.results]
    assert "dkd-alpha-1" not in names, "it is dkd-beta-2"
    assert "kd-temperature-4" not in names, "it is kd-weight-2"
    assert len({str(sorted(result.settings.items())) + result.method for result in comparison.results}) == len(names)


def test_every_point_has_its_row_and_its_place_in_the_figure(ground: Path) -> None:
    found = study("weights", ground)
    comparison = found.comparisons[PAIR]
    (table,) = found.tables
    assert len(table.rows) == len(points(RECIPE, "demo"))
    rows = {row[:3]: row for row in table.rows}
    assert rows["dkd", "beta", "4"][3] == comparison.result("dkd-beta-4").last_score
    assert rows["dkd", "beta", "4"][5] == comparison.difference("dkd-beta-4", "kd-weight-4")
    assert rows["dkd", "temperature", "8"][5] == comparison.difference("dkd-temperature-8", "kd-temperature-8")
    assert rows["dkd", "alpha", "4"][5] is None
    weight, alpha, temperature = (panel.series for panel in found.panels if isinstance(panel, Panel))
    assert [series.name for series in weight] == ["dkd, beta", "CE + w KL, w"]
    assert weight[0].x == (0.5, 1.0, 2.0, 4.0, 8.0)
    assert weight[0].y[3] == comparison.result("dkd-beta-4").last_score.mean
    assert alpha[0].y[alpha[0].x.index(1.0)] == comparison.result("dkd-beta-2").last_score.mean
    assert temperature[1].y[temperature[1].x.index(4.0)] == comparison.result("kd-weight-2").last_score.mean
