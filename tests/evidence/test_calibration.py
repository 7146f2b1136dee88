import doctest
import importlib

import numpy as np
import pytest

from decant.evidence.calibration import BINS, reliability
from decant.evidence.correlation import correlation_difference, logit_correlation


def test_bins_and_error_are_those_of_a_loop() -> None:
    random = np.random.default_rng(0)
    confidence = random.uniform(0, 1, 500)
    confidence[:3] = 0.0, 1.0, 1 / BINS
    right = random.uniform(0, 1, 500) < confidence**2
    found = reliability(confidence, right)
    error, shares = 0.0, []
    for each in range(BINS):
        held = (confidence > each / BINS) & (confidence <= (each + 1) / BINS)
        if each == 0:
            held |= confidence == 0
        shares.append(held.mean())
        error += held.mean() * abs(right[held].mean() - confidence[held].mean())
    assert found.share == pytest.approx(tuple(shares))
    assert found.error == pytest.approx(error)
    assert found.error > 0.1, "squares are less often right than they are sure"
    assert sum(found.share) == pytest.approx(1)


def test_who_is_as_sure_as_right_has_no_error() -> None:
    confidence = np.repeat([0.25, 0.75], 4)
    right = np.array([True, False, False, False, True, True, True, False])
    assert reliability(confidence, right).error == pytest.approx(0)


def test_empty_bins_are_left_out() -> None:
    found = reliability(np.array([0.95, 0.97]), np.array([True, True]))
    assert (found.accuracy, found.share) == ((1.0,), (1.0,))
    assert found.confidence == pytest.approx((0.96,))


@pytest.mark.parametrize(
    ("confidence", "right", "message"),
    [
        ([], [], "expected a confidence and whether it is right for each prediction"),
        ([0.5], [True, False], "expected a confidence and whether it is right for each prediction"),
        ([1.5], [True], "expected confidences from 0 to 1, got 1.5 to 1.5"),
        ([float("nan")], [True], "expected confidences from 0 to 1"),
    ],
)
def test_what_is_no_confidence_is_refused(confidence: list[float], right: list[bool], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        reliability(np.array(confidence), np.array(right, dtype=bool))


def test_correlations_are_numpy_s_and_a_constant_class_has_none() -> None:
    logits = np.random.default_rng(1).normal(size=(40, 5)).astype(np.float32)
    np.testing.assert_allclose(logit_correlation(logits), np.corrcoef(logits.T), rtol=1e-6, atol=1e-7)
    logits[:, 2] = 3.0
    matrix = logit_correlation(logits)
    assert np.isfinite(matrix).all()
    assert matrix[2].tolist() == [0, 0, 1, 0, 0]


def test_a_copy_of_the_teacher_differs_in_nothing_and_scale_does_not_matter() -> None:
    random = np.random.default_rng(2)
    teacher, other = random.normal(size=(50, 4)), random.normal(size=(50, 4))
    matrix, mean = correlation_difference(3 * teacher + 1, teacher)
    assert mean == pytest.approx(0, abs=1e-12)
    matrix, mean = correlation_difference(other, teacher)
    expected = np.abs(np.corrcoef(other.T) - np.corrcoef(teacher.T))
    np.testing.assert_allclose(matrix, expected, atol=1e-12)
    assert mean == pytest.approx(expected[~np.eye(4, dtype=bool)].mean())
    with pytest.raises(ValueError, match="for the same samples"):
        correlation_difference(other[:10], teacher)
    with pytest.raises(ValueError, match="at least two samples"):
        logit_correlation(other[:1])


@pytest.mark.parametrize("name", ["decant.evidence.calibration", "decant.evidence.correlation"])
def test_the_examples_are_true(name: str) -> None:
    tried = doctest.testmod(importlib.import_module(name))
    assert tried.attempted > 0
    assert tried.failed == 0
