import math
from pathlib import Path

import pytest

from decant.evidence import half_width, mean_interval, mean_std
from studies.small import PAIR, last_score, study


def test_the_least_difference_is_where_the_interval_meets_zero() -> None:
    values = [1.0, 2.5, 3.0, 0.5]
    interval = mean_interval(values)
    std = mean_std(values).std
    assert std is not None
    assert interval.high is not None
    assert half_width(std, 4) == pytest.approx(interval.high - interval.mean)
    assert half_width(1.0, 5, freedom=8) == pytest.approx(2.306004 / math.sqrt(5))
    with pytest.raises(ValueError, match="at least two values, got 1"):
        half_width(1.0, 1)


def test_spread_and_widths_come_from_the_runs(ground: Path) -> None:
    found = study("seeds", ground)
    spread, differences = found.tables
    dkd, control = (last_score(ground, PAIR, name) for name in ("dkd", "kd-matched"))
    rows = {row[0]: row for row in spread.rows}
    assert rows["dkd"][1] == mean_std(dkd.values())
    assert rows["dkd"][4] == max(dkd.values()) - min(dkd.values())
    result = found.comparisons[PAIR].result("dkd")
    gap = rows["dkd"][3]
    assert isinstance(gap, tuple)
    assert gap[0] == pytest.approx(result.best_score.mean - result.last_score.mean)
    by_seed, unpaired = (row for row in differences.rows if row[0] == "dkd - kd-matched")
    deviation = mean_std(dkd[seed] - control[seed] for seed in dkd).std
    assert deviation is not None
    assert by_seed[2] == deviation
    assert by_seed[4] == pytest.approx(half_width(deviation, 3))
    variances = [(mean_std(values.values()).std or 0) ** 2 for values in (dkd, control)]
    assert unpaired[2] == pytest.approx(math.sqrt(sum(variances)))
    assert unpaired[5] == pytest.approx(half_width(math.sqrt(sum(variances)), 5, freedom=8))


def test_one_seed_has_no_spread_and_says_so(tmp_path: Path) -> None:
    found = study("seeds", tmp_path, seeds=1)
    assert all(row[2:] == (None,) * 5 for row in found.tables[1].rows)
    assert any("fewer than 3 seeds" in caveat for caveat in found.caveats)
