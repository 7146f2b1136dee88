"""How classes go together in a network's logits, and how far a student is from its teacher in that."""

import numpy as np
from numpy.typing import NDArray


def logit_correlation(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Pearson's correlation of every two classes' logits over the samples: (N, C) -> (C, C), 1 on the diagonal.

    A class whose logit never changes goes together with none: 0.

    Raises:
        ValueError: fewer than two samples.

    >>> logit_correlation(np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 1.0], [3.0, 6.0, 2.0]])).round(2)[0].tolist()
    [1.0, 1.0, -0.5]
    """
    if len(logits) < 2:
        raise ValueError(f"expected logits of at least two samples, got {logits.shape}")
    centred = logits.astype(np.float64) - logits.mean(0, dtype=np.float64)
    length = np.sqrt(np.square(centred).sum(0))
    unit = np.divide(centred, length, out=np.zeros_like(centred), where=length > 0)
    matrix: NDArray[np.float64] = unit.T @ unit
    np.fill_diagonal(matrix, 1.0)
    return matrix


def correlation_difference(
    student: NDArray[np.floating], teacher: NDArray[np.floating]
) -> tuple[NDArray[np.float64], float]:
    """Absolute difference of the two networks' logit correlations, (C, C), and its mean over pairs of classes, 0 to 2.

    Raises:
        ValueError: logits of different shapes, or of fewer than two samples.
    """
    if student.shape != teacher.shape:
        raise ValueError(
            f"expected logits of both networks for the same samples, got {student.shape} and {teacher.shape}"
        )
    matrix = np.abs(logit_correlation(student) - logit_correlation(teacher))
    classes = len(matrix)
    return matrix, float(matrix.sum() / (classes * (classes - 1)))
