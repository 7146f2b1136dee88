"""Calibration: does a network's confidence say how often it is right?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 15


@dataclass(frozen=True)
class Reliability:
    """Predictions by their confidence, in bins of equal width; only bins that hold some.

    Attributes:
        confidence: mean confidence in each bin, 0 to 1.
        accuracy: share of each bin that is right.
        share: share of all predictions that each bin holds.
    """

    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]
    share: tuple[float, ...]

    @property
    def error(self) -> float:
        """Expected calibration error: sum over bins of share |accuracy - confidence|, 0 to 1.

        >>> round(reliability(np.array([0.9, 0.9, 0.3, 0.3]), np.array([True, False, False, False])).error, 3)
        0.35
        """
        rows = zip(self.share, self.accuracy, self.confidence, strict=True)
        return float(sum(share * abs(accuracy - confidence) for share, accuracy, confidence in rows))


def reliability(confidence: NDArray[np.floating], right: NDArray[np.bool_], bins: int = BINS) -> Reliability:
    """Bin predictions by confidence: the bins of a reliability diagram.

    Bin b holds confidences in ((b - 1)/bins, b/bins].
    Source: Guo, Pleiss, Sun, Weinberger, *On Calibration of Modern Neural Networks*, ICML 2017, arXiv:1706.04599.

    Args:
        confidence: (N,), the probability of the predicted class, 0 to 1.
        right: (N,), whether the prediction is right.
        bins: how many.

    Raises:
        ValueError: no prediction, unequal lengths, or a confidence outside 0 to 1.
    """
    if not len(confidence) or confidence.shape != right.shape:
        raise ValueError(
            "expected a confidence and whether it is right for each prediction, got "
            f"{confidence.shape} and {right.shape}"
        )
    if not ((confidence >= 0) & (confidence <= 1)).all():
        raise ValueError(f"expected confidences from 0 to 1, got {confidence.min():g} to {confidence.max():g}")
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    held = [place == each for each in range(bins) if (place == each).any()]
    return Reliability(
        confidence=tuple(float(confidence[those].mean()) for those in held),
        accuracy=tuple(float(right[those].mean()) for those in held),
        share=tuple(float(those.mean()) for those in held),
    )
