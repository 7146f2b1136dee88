"""What a distiller of detectors refuses, and what it warns of."""

from typing import Any

import pytest
import torch
from torch import nn

from decant.detection import PyramidReviewKDSettings, RCNNDistiller, RegionDKDSettings, RegionKDSettings
from detection.toy_detectors import detector, pictures, step, student, teacher


@pytest.mark.parametrize("role", ["student", "teacher"])
def test_both_are_two_stage_detectors(role: str) -> None:
    networks: dict[str, Any] = {"student": student(), "teacher": teacher(), role: nn.Linear(2, 2)}
    with pytest.raises(TypeError, match=rf"{role} must be a two-stage detector .* Linear has no transform"):
        RCNNDistiller(networks["student"], networks["teacher"])


def test_a_method_is_one_that_there_is() -> None:
    with pytest.raises(ValueError, match="no method 'crd' for detectors; there are: kd, dkd, fitnet, reviewkd"):
        RCNNDistiller(student(), teacher(), ["crd"])
    with pytest.raises(TypeError, match="call it to make one"):
        RCNNDistiller(student(), teacher(), [RegionDKDSettings])  # type: ignore[list-item]
    with pytest.raises(ValueError, match=r"terms of the names \['kd_background', 'kd_foreground'\]"):
        RCNNDistiller(student(), teacher(), ["kd", RegionKDSettings(temperature=2.0)])


def test_teacher_and_methods_belong_together() -> None:
    with pytest.raises(ValueError, match="teacher is None"):
        RCNNDistiller(student(), None, ["dkd"])
    both = student()
    with pytest.raises(ValueError, match="same module"):
        RCNNDistiller(both, both)


def test_other_numbers_of_classes_need_names() -> None:
    with pytest.raises(ValueError, match="student has 4 classes and the teacher 6, background included"):
        RCNNDistiller(student(), detector(2, num_classes=6))
    with pytest.raises(ValueError, match="given together"):
        RCNNDistiller(student(), teacher(), student_classes=["a", "b", "c"])
    with pytest.raises(ValueError, match=r"have \(4, 4\) classes with the background, but \(4, 3\) are named"):
        RCNNDistiller(student(), teacher(), student_classes=["a", "b", "c"], teacher_classes=["a", "b"])


def test_a_class_that_the_teacher_does_not_know_is_counted() -> None:
    with pytest.warns(UserWarning, match=r"does not know 1 of the student's 3 classes \(c\)"):
        distiller = RCNNDistiller(
            student(), teacher(), student_classes=["a", "b", "c"], teacher_classes=["b", "a", "z"]
        )
    loss, _ = step(distiller)
    loss.backward()
    assert torch.isfinite(loss)


def test_another_size_of_pictures_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="shorter side of 64 and a longer one of at most 128 .* made for 96 and 128"):
        RCNNDistiller(student(), detector(2, min_size=96))
    RCNNDistiller(detector(1, min_size=(48, 56, 64)), teacher())  # several sizes in training: the last one is its own


def test_a_warm_up_needs_the_epoch() -> None:
    distiller = RCNNDistiller(student(), teacher(), [RegionDKDSettings(warmup=4), PyramidReviewKDSettings(warmup=2)])
    with pytest.raises(ValueError, match="give epoch="):
        distiller(*pictures())
    assert distiller.weights(0.0)["tckd_foreground"] == 0.25
    assert distiller.weights(1.5)["reviewkd"] == 1.0


def test_a_student_in_eval_mode_has_no_losses() -> None:
    distiller = RCNNDistiller(student(), teacher())
    distiller.eval()
    with pytest.raises(RuntimeError, match=r"distiller.train\(\)"):
        distiller(*pictures())
