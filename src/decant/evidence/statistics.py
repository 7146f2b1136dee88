"""Means, spreads and intervals over seeds."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from scipy import stats


class MeanStd(NamedTuple):
    """Mean and sample standard deviation; ``std`` is None where there is one value alone."""

    mean: float
    std: float | None


@dataclass(frozen=True)
class Interval:
    """A mean of ``n`` values and its interval at ``level``; ``low`` and ``high`` are None for fewer than two values."""

    mean: float
    low: float | None
    high: float | None
    n: int
    level: float


def mean_std(values: Iterable[float]) -> MeanStd:
    """Mean m = (1/n) sum x_i and sample standard deviation sqrt(sum (x_i - m)^2 / (n - 1)).

    Args:
        values: at least one finite number.

    Raises:
        ValueError: there is no value, or one is not finite.

    >>> mean_std([93.0, 94.0, 95.0])
    MeanStd(mean=94.0, std=1.0)
    >>> mean_std([93.0])
    MeanStd(mean=93.0, std=None)
    """
    numbers = [float(value) for value in values]
    if not numbers:
        raise ValueError("expected at least one value, got none")
    if wrong := [number for number in numbers if not math.isfinite(number)]:
        raise ValueError(
            f"expected finite values, got {wrong[0]} among {len(numbers)}; leave out what diverged and say so"
        )
    mean = math.fsum(numbers) / len(numbers)
    if len(numbers) == 1:
        return MeanStd(mean, None)
    return MeanStd(mean, math.sqrt(math.fsum((number - mean) ** 2 for number in numbers) / (len(numbers) - 1)))


def mean_interval(values: Iterable[float], level: float = 0.95) -> Interval:
    """Student-t interval of a mean: m +- t s / sqrt(n), t the (1 + level)/2 quantile with n - 1 degrees of freedom.

    Source: Student, The Probable Error of a Mean, Biometrika 6, 1908. It assumes values drawn independently
    from a normal distribution.

    Args:
        values: at least one finite number.
        level: share of such intervals that hold the true mean, between 0 and 1.

    Raises:
        ValueError: there is no value, one is not finite, or the level is not between 0 and 1.

    >>> interval = mean_interval([93.0, 94.0, 95.0])
    >>> f"{interval.mean:.2f} [{interval.low:.2f}, {interval.high:.2f}]"
    '94.00 [91.52, 96.48]'
    """
    if not 0 < level < 1:
        raise ValueError(f"expected a level between 0 and 1, such as 0.95, got {level}")
    numbers = list(values)
    mean, std = mean_std(numbers)
    if std is None:
        return Interval(mean, None, None, 1, level)
    n = len(numbers)
    half = half_width(std, n, level=level)
    return Interval(mean, mean - half, mean + half, n, level)


def half_width(std: float, n: int, *, freedom: int | None = None, level: float = 0.95) -> float:
    """Half the width of the Student-t interval of a mean of ``n`` values, t s / sqrt(n).

    Args:
        std: sample standard deviation s.
        n: values, at least 2.
        freedom: degrees of freedom of the t quantile; n - 1 unless s comes from more values.
        level: share of such intervals that hold the true mean, between 0 and 1.

    Raises:
        ValueError: fewer than two values.

    >>> round(half_width(1.0, 3), 3), round(half_width(1.0, 10), 3)
    (2.484, 0.715)
    """
    if n < 2:
        raise ValueError(f"expected at least two values, got {n}; one alone has no spread")
    quantile = float(stats.t.ppf((1 + level) / 2, n - 1 if freedom is None else freedom))
    return quantile * std / math.sqrt(n)


def paired_differences(a: Mapping[int, float], b: Mapping[int, float]) -> dict[int, float]:
    """The difference a - b seed by seed, in the order of the seeds.

    Args:
        a, b: seed -> value, with the same seeds.

    Raises:
        ValueError: the seeds differ, or there are none.

    >>> paired_differences({0: 94.0, 1: 95.5}, {1: 95.0, 0: 93.0})
    {0: 1.0, 1: 0.5}
    """
    if a.keys() != b.keys():
        raise ValueError(
            "expected the same seeds on both sides, "
            f"got {sorted(a.keys() - b.keys())} only on the first and {sorted(b.keys() - a.keys())} only on the "
            "second; run the missing seeds"
        )
    if not a:
        raise ValueError("expected at least one seed, got none")
    return {seed: a[seed] - b[seed] for seed in sorted(a)}


def paired_interval(a: Mapping[int, float], b: Mapping[int, float], level: float = 0.95) -> Interval:
    """Student-t interval of the mean difference a - b, paired by seed (n - 1 degrees of freedom).

    Pairing takes out what the two runs of a seed share, such as initialisation and order.
    Source: Student, The Probable Error of a Mean, Biometrika 6, 1908.

    Args:
        a, b: seed -> value, with the same seeds.
        level: share of such intervals that hold the true difference, between 0 and 1.

    Raises:
        ValueError: the seeds differ or there are none, a value is not finite, or the level is not between 0 and 1.

    >>> interval = paired_interval({0: 94.0, 1: 95.0, 2: 96.0}, {0: 93.0, 1: 93.0, 2: 93.0})
    >>> f"{interval.mean:+.2f} [{interval.low:+.2f}, {interval.high:+.2f}]"
    '+2.00 [-0.48, +4.48]'
    """
    return mean_interval(paired_differences(a, b).values(), level)
