"""Draws from Beta(a, a) out of uniform numbers, without a state."""

import numpy as np
from numpy.typing import NDArray

_GRID = 2**14
"""Pieces between which quantiles are interpolated: an error below 1e-5 for every a from 0.01 on."""
MAX_CONCENTRATION = 100.0
"""Beyond, a draw is a half up to a few percent, and the grid would be too coarse."""


class SymmetricBeta:
    """Quantiles of Beta(a, a): what makes a uniform number a draw from it.

    Below 1/2 the distribution function is proportional to the integral of t^(a-1) (1-t)^(a-1) up to the quantile, and
    above it mirrored. With s = t^min(a, 1) the integrand has no pole at 0, so that a grid in s serves small a as well.

    Args:
        concentration: a, above 0 and at most 100; 1 is the uniform distribution, less prefers the ends.

    Raises:
        ValueError: a concentration out of range.

    Example:
        >>> [round(float(x), 3) for x in SymmetricBeta(2.0)(np.array([0.0, 0.25, 0.5, 0.75, 1.0]))]
        [0.0, 0.326, 0.5, 0.674, 1.0]
    """

    def __init__(self, concentration: float) -> None:
        if not 0 < concentration <= MAX_CONCENTRATION:
            raise ValueError(f"concentration is above 0 and at most {MAX_CONCENTRATION:g}, got {concentration}")
        a, self._power = concentration, min(concentration, 1.0)
        self._s = np.linspace(0.0, 0.5**self._power, _GRID + 1)
        middle = ((self._s[:-1] + self._s[1:]) / 2) ** (1 / self._power)
        # Scaled by its largest value, at t = 1/2 for a above 1, so that 4^(1-a) does not underflow.
        mass = (2 * middle) ** (a - self._power) * (2 * (1 - middle)) ** (a - 1)
        self._below = np.concatenate([[0.0], np.cumsum(mass) / (2 * mass.sum())])

    def __call__(self, uniform: NDArray[np.float64]) -> NDArray[np.float64]:
        """The quantiles of numbers from 0 to 1, of the same shape."""
        lower = np.minimum(uniform, 1 - uniform)
        quantile = np.interp(lower, self._below, self._s) ** (1 / self._power)
        return np.where(uniform <= 0.5, quantile, 1 - quantile)
