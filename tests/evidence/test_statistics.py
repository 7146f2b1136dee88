import math

import numpy as np
import pytest
from scipy import stats

from decant.evidence import Interval, mean_interval, mean_std, paired_differences, paired_interval


def test_mean_and_sample_standard_deviation_agree_with_numpy() -> None:
    values = np.random.default_rng(0).normal(93, 0.5, 7)
    mean, std = mean_std(values)
    assert mean == pytest.approx(values.mean(), rel=1e-14)
    assert std == pytest.approx(values.std(ddof=1), rel=1e-12)


def test_spread_of_one_value_is_unknown_not_zero() -> None:
    assert mean_std([93.0]) == (93.0, None)
    assert mean_interval([93.0]) == Interval(93.0, None, None, 1, 0.95)


def test_a_large_offset_does_not_cancel_the_spread() -> None:
    assert mean_std([1e9 + 1, 1e9 + 2, 1e9 + 3]) == (1e9 + 2, 1.0)


@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
def test_mean_interval_is_students(level: float) -> None:
    values = np.random.default_rng(1).normal(70, 2, 5)
    low, high = stats.t.interval(level, 4, loc=values.mean(), scale=stats.sem(values))
    interval = mean_interval(values, level)
    assert interval.low == pytest.approx(low, rel=1e-12)
    assert interval.high == pytest.approx(high, rel=1e-12)


def test_mean_interval_uses_the_tabulated_quantile() -> None:
    # Mean 0, sample std 1, three values: the half width is t(0.975, 2) / sqrt(3), and t is 4.3027 in every table.
    interval = mean_interval([-1.0, 0.0, 1.0])
    assert interval.high == pytest.approx(4.30265273 / math.sqrt(3), rel=1e-8)
    assert interval.low == -(interval.high or 0)


@pytest.mark.parametrize("n", [2, 3, 10])
def test_paired_interval_is_that_of_the_paired_t_test(n: int) -> None:
    rng = np.random.default_rng(n)
    a, b = rng.normal(95, 0.5, n), rng.normal(93, 1, n)
    expected = stats.ttest_rel(a, b).confidence_interval(0.95)
    interval = paired_interval(dict(enumerate(a)), dict(enumerate(b)))
    assert interval.mean == pytest.approx((a - b).mean(), rel=1e-12)
    assert interval.low == pytest.approx(expected.low, rel=1e-9)
    assert interval.high == pytest.approx(expected.high, rel=1e-9)
    assert interval.n == n


def test_pairs_are_made_by_seed_not_by_position() -> None:
    a, b = {0: 10.0, 1: 20.0, 2: 30.0}, {2: 29.0, 0: 9.0, 1: 19.0}
    assert paired_differences(a, b) == {0: 1.0, 1: 1.0, 2: 1.0}
    assert list(paired_differences(b, a)) == [0, 1, 2]
    assert paired_interval(a, b) == Interval(1.0, 1.0, 1.0, 3, 0.95)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    samples = np.random.default_rng(2).normal(0.3, 1, (2000, 4))
    intervals = [mean_interval(sample) for sample in samples]
    held = [i.low <= 0.3 <= i.high for i in intervals if i.low is not None and i.high is not None]
    assert len(held) == 2000
    assert 0.935 < sum(held) / 2000 < 0.965  # three standard errors around 0.95


def test_one_pair_has_a_difference_and_no_interval() -> None:
    assert paired_interval({4: 95.0}, {4: 93.5}) == Interval(1.5, None, None, 1, 0.95)


def test_other_seeds_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"\[2\] only on the first and \[7, 8\] only on the second"):
        paired_interval({1: 90.0, 2: 91.0}, {1: 90.0, 8: 91.0, 7: 91.0})
    with pytest.raises(ValueError, match=r"\[1\] only on the first and \[2\] only on the second"):
        paired_interval({1: 90.0}, {2: 90.0})
    with pytest.raises(ValueError, match="at least one seed"):
        paired_interval({}, {})


@pytest.mark.parametrize("values", [[], [math.nan, 1.0], [1.0, math.inf]])
def test_no_values_and_diverged_values_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match=r"expected (at least one value|finite values)"):
        mean_std(values)


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0, -0.1])
def test_levels_outside_zero_and_one_are_refused(level: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        mean_interval([1.0, 2.0], level)
