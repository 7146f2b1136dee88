"""The paired bootstrap: it is the resampling of pictures, in pairs, and the same every time."""

import numpy as np
import pytest

from decant.evidence import paired_bootstrap


def answers(both: int, first: int, second: int, neither: int) -> tuple[list[bool], list[bool]]:
    pairs = [(True, True)] * both + [(True, False)] * first + [(False, True)] * second + [(False, False)] * neither
    one, other = zip(*pairs, strict=True)
    return list(one), list(other)


def test_it_is_what_drawing_pictures_gives() -> None:
    first, second = (np.array(given) for given in answers(50, 30, 10, 10))
    generator = np.random.default_rng(5)
    places = generator.integers(0, 100, (20_000, 100))
    drawn = 100 * (first[places].mean(1) - second[places].mean(1))
    interval = paired_bootstrap(first.tolist(), second.tolist())
    assert interval.mean == pytest.approx(20.0)
    assert interval.n == 100
    assert interval.low is not None
    assert interval.high is not None
    assert [interval.low, interval.high] == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=1.01)


def test_pairs_matter() -> None:
    # The same accuracies: networks that agree on most pictures are told apart, others are not.
    alike, apart = paired_bootstrap(*answers(70, 10, 0, 20)), paired_bootstrap(*answers(20, 60, 50, -30 + 30))
    assert alike.low is not None
    assert apart.low is not None
    assert alike.low > 0 > apart.low


def test_it_is_the_same_every_time_and_turns_round() -> None:
    first, second = answers(50, 30, 10, 10)
    one, other = paired_bootstrap(first, second), paired_bootstrap(second, first)
    assert one == paired_bootstrap(first, second)
    assert other.mean == -one.mean
    assert paired_bootstrap(first, first).low == 0.0


def test_it_refuses_what_is_no_pair() -> None:
    with pytest.raises(ValueError, match="answers to the same pictures, at least one; got 2 and 1"):
        paired_bootstrap([True, False], [True])
    with pytest.raises(ValueError, match="got 0 and 0"):
        paired_bootstrap([], [])
    with pytest.raises(ValueError, match="a level between 0 and 1"):
        paired_bootstrap([True], [True], level=1.0)
