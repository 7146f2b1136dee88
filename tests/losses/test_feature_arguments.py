"""Wrong features get a message that says what was expected, what came, and what to do."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from decant.losses import (
    at_loss,
    hcl_loss,
    kdsvd_loss,
    nce_loss,
    nd_loss,
    nst_loss,
    ofd_loss,
    pkt_loss,
    rkd_loss,
    sp_loss,
    vid_loss,
)

MAPS, VECTORS = torch.zeros(2, 3, 4, 4), torch.zeros(2, 3)
ON_STAGES = [at_loss, nst_loss, kdsvd_loss, hcl_loss]
ON_VECTORS = [pkt_loss, rkd_loss]
by_name = lambda value: getattr(value, "__name__", None)  # noqa: E731


@pytest.mark.parametrize("loss", ON_STAGES, ids=by_name)
def test_stages_are_paired(loss: Callable[..., Tensor]) -> None:
    with pytest.raises(
        ValueError, match=r"paired by position .* got 3 feature maps of the student and 2 of the teacher"
    ):
        loss([MAPS] * 3, [MAPS] * 2)
    with pytest.raises(ValueError, match="at least one; got 0"):
        loss([], [])
    with pytest.raises(
        TypeError, match=r"students must be a sequence of feature maps.* got one tensor; write \[tensor\]"
    ):
        loss(MAPS, MAPS)


@pytest.mark.parametrize("loss", ON_STAGES, ids=by_name)
def test_stages_are_maps_of_the_same_samples(loss: Callable[..., Tensor]) -> None:
    with pytest.raises(ValueError, match=r"the teacher's features must be maps \(N, C, H, W\), got shape \(2, 3, 4\)"):
        loss([MAPS, MAPS], [MAPS, MAPS[..., 0]])
    with pytest.raises(ValueError, match="of 2 samples from the student and of 1 from the teacher"):
        loss([MAPS, MAPS], [MAPS, MAPS[:1]])
    with pytest.raises(TypeError, match=r"student must hold floating-point features, got torch\.int64"):
        loss([MAPS.long(), MAPS], [MAPS, MAPS])
    with pytest.raises(TypeError, match="teacher must be a tensor of features, got list"):
        loss([MAPS, MAPS], [MAPS, [1.0]])
    with pytest.raises(ValueError, match=r"the student's features are empty: shape \(0, 3, 4, 4\)"):
        loss([MAPS[:0], MAPS], [MAPS, MAPS])


@pytest.mark.parametrize("loss", ON_VECTORS, ids=by_name)
def test_relations_are_of_vectors(loss: Callable[..., Tensor]) -> None:
    with pytest.raises(ValueError, match=r"the student's features must be vectors \(N, D\), got shape \(2, 3, 4, 4\)"):
        loss(MAPS, torch.zeros(2, 3))
    with pytest.raises(ValueError, match="of 2 samples from the student and of 3 from the teacher"):
        loss(torch.zeros(2, 3), torch.zeros(3, 3))


def test_similarities_need_a_batch() -> None:
    with pytest.raises(ValueError, match=r"the student's features must be \(N, \.\.\.\), got shape \(3,\)"):
        sp_loss(torch.zeros(3), torch.zeros(3))
    with pytest.raises(ValueError, match="of 2 samples from the student and of 3 from the teacher"):
        sp_loss(torch.zeros(2, 3), torch.zeros(3, 3))


def test_what_has_no_bridge_is_told_to_build_one() -> None:
    other = torch.zeros(2, 5, 4, 4)
    with pytest.raises(ValueError, match=r"the same shape here, got \(2, 3, 4, 4\) and \(2, 5, 4, 4\); bring the"):
        hcl_loss([MAPS], [other])
    with pytest.raises(ValueError, match=r"the same shape here, got \(2, 3, 4, 4\) and \(2, 5, 4, 4\); bring the"):
        ofd_loss(MAPS, other, torch.zeros(5))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: at_loss([MAPS], [MAPS], power=0.5), "power must be finite and at least 1, got 0.5"),
        (lambda: kdsvd_loss([MAPS] * 2, [MAPS] * 2, k=0), "k must be a whole number of at least 1, got 0"),
        (lambda: kdsvd_loss([MAPS], [MAPS]), "compares consecutive stages: give at least 2 feature maps"),
        (lambda: ofd_loss(MAPS, MAPS, torch.zeros(4)), r"margin must have one value per channel, \(3,\), got \(4,\)"),
        (lambda: vid_loss(MAPS, torch.zeros(1), MAPS), r"the teacher has 3 channels; .* 3 channels and shape \(1,\)"),
        (lambda: vid_loss(MAPS[:, :2], torch.zeros(3), MAPS), "the teacher has 3 channels; .* got 2 channels"),
        (lambda: nd_loss(VECTORS, VECTORS[:, :2], VECTORS), r"same shape here, got \(2, 3\) and \(2, 2\); bring the"),
        (lambda: nd_loss(VECTORS, VECTORS, VECTORS[0]), r"one vector per sample, \(2, 3\), got \(3,\)"),
        (lambda: nd_loss(MAPS, MAPS, MAPS), r"the student's features must be vectors \(N, D\), got shape"),
        (lambda: nce_loss(torch.zeros(2), torch.zeros(2), 5), r"negatives \(N, K\) .* got \(2,\) and \(2,\)"),
        (lambda: nce_loss(torch.zeros(2), torch.zeros(2, 0), 5), r"N and K at least 1, got \(2,\) and \(2, 0\)"),
        (lambda: nce_loss(torch.zeros(2), torch.zeros(2, 3), 0), "size, .* must be at least 1, got 0"),
    ],
)
def test_settings_that_mean_nothing_are_refused(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_a_contrast_is_of_log_probabilities() -> None:
    with pytest.raises(TypeError, match=r"positive must hold floating-point log-probabilities, got torch\.int64"):
        nce_loss(torch.zeros(2).long(), torch.zeros(2, 3), 5)
