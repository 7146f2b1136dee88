"""Two networks on the same pictures: an interval for their difference by drawing the pictures anew."""

from collections.abc import Sequence

import numpy as np

from decant.evidence.statistics import Interval


def paired_bootstrap(
    first: Sequence[bool], second: Sequence[bool], *, level: float = 0.95, draws: int = 10_000, seed: int = 0
) -> Interval:
    """Percentile interval of the difference in accuracy, first minus second, in percentage points.

    Pictures are drawn with replacement, both networks' answers to a picture together. It covers another draw of the
    pictures and nothing else: with one network each it says nothing of training again.

    Source: Efron, Bootstrap methods: another look at the jackknife, Annals of Statistics 7, 1979.

    Args:
        first: whether the first network is right, for each picture.
        second: whether the second is, for the same pictures.
        level: share of such intervals that hold the true difference, between 0 and 1.
        draws: sets of pictures that are drawn.
        seed: of the draws.

    Raises:
        ValueError: no pictures, or not the same number; a level outside 0 to 1.

    >>> interval = paired_bootstrap([True] * 90 + [False] * 10, [True] * 80 + [False] * 20)
    >>> f"{interval.mean:.1f} [{interval.low:.1f}, {interval.high:.1f}]"
    '10.0 [5.0, 16.0]'
    """
    if not len(first) or len(first) != len(second):
        raise ValueError(f"expected answers to the same pictures, at least one; got {len(first)} and {len(second)}")
    if not 0 < level < 1:
        raise ValueError(f"expected a level between 0 and 1, such as 0.95, got {level}")
    difference = np.asarray(first, dtype=np.int64) - np.asarray(second, dtype=np.int64)
    # All that a picture can add is 1, -1 or 0: drawing how many of each there are is drawing the pictures.
    n = len(difference)
    shares = [float((difference == value).mean()) for value in (1, -1, 0)]
    drawn = np.random.default_rng(seed).multinomial(n, shares, size=draws)
    low, high = np.quantile((drawn[:, 0] - drawn[:, 1]) * (100 / n), [(1 - level) / 2, (1 + level) / 2])
    return Interval(mean=100 * float(difference.mean()), low=float(low), high=float(high), n=n, level=level)
