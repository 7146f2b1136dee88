"""nckd: the second half of dkd, whole, suppressed as classical distillation does, and on a half of the samples."""

from typing import Any

import pytest
import torch
from torch import Tensor

from decant.interfaces import Batch, Outputs
from decant.losses import dkd_terms, kd_loss
from decant.methods import NCKDSettings
from losses.logit_cases import N, logits
from methods.building import digits_context
from methods.test_learning import agreement


def term(target: Tensor | None = None, **values: Any) -> Tensor:
    student, teacher, labels = logits()
    method = NCKDSettings(task_weight=0.0, warmup=0, **values).build(digits_context())
    batch = Batch((torch.zeros(N, 1, 2, 2),), labels if target is None else target, torch.arange(N))
    terms: dict[str, Tensor] = method(Outputs(student), Outputs(teacher), batch)
    assert terms.keys() == method.weights(0.0).keys() == {"hard", "nckd"}
    return terms["nckd"]


def test_whole_it_is_the_second_half_of_dkd() -> None:
    student, teacher, target = logits()
    torch.testing.assert_close(term(), dkd_terms(student, teacher, target).nckd)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_suppressed_it_is_what_classical_distillation_adds_to_the_first_half(temperature: float) -> None:
    student, teacher, target = logits()
    tckd = dkd_terms(student, teacher, target, temperature=temperature).tckd
    whole = tckd + term(suppress=True, temperature=temperature)
    torch.testing.assert_close(whole, kd_loss(student, teacher, temperature=temperature))


@pytest.mark.parametrize("suppress", [False, True])
def test_the_halves_add_up_to_the_whole_and_are_told_apart_by_the_teacher_s_sureness(suppress: bool) -> None:
    confident, unsure = (term(samples=half, suppress=suppress) for half in ("confident", "unsure"))
    torch.testing.assert_close(confident + unsure, term(suppress=suppress))
    student, teacher, target = logits()
    sureness = (teacher / 4).softmax(1)[torch.arange(N), target]
    each = dkd_terms(student, teacher, target, reduction="none").nckd * (1 - sureness if suppress else 1)
    surer = sureness.argsort(descending=True)[: (N + 1) // 2]
    torch.testing.assert_close(confident, each[surer].sum() / N)


def test_no_gradient_reaches_the_teacher_and_one_reaches_the_student() -> None:
    student, teacher, target = logits()
    student, teacher = student.requires_grad_(), teacher.requires_grad_()
    method = NCKDSettings(suppress=True, samples="confident", warmup=0).build(digits_context())
    batch = Batch((torch.zeros(N, 1, 2, 2),), target, torch.arange(N))
    method(Outputs(student), Outputs(teacher), batch)["nckd"].backward()
    assert teacher.grad is None
    assert student.grad is not None
    assert (student.grad.abs().sum(1) > 0).sum() == (N + 1) // 2


def test_labels_that_are_probabilities_have_no_one_class_to_be_sure_of() -> None:
    _, _, target = logits()
    mixed = torch.nn.functional.one_hot(target, 6).float()
    assert term(mixed).isfinite()
    with pytest.raises(ValueError, match=r"needs class indices \(N,\); got torch.float32 labels"):
        term(mixed, suppress=True)


def test_without_labels_the_teacher_s_choice_is_the_target() -> None:
    student, teacher, _ = logits()
    method = NCKDSettings(task_weight=0.0, suppress=True).build(digits_context())
    batch = Batch((torch.zeros(N, 1, 2, 2),), None, torch.arange(N))
    found = method(Outputs(student), Outputs(teacher), batch)["nckd"]
    torch.testing.assert_close(found, term(teacher.argmax(1), suppress=True))


def test_the_weight_warms_up_and_the_task_is_spared() -> None:
    method = NCKDSettings(weight=6.0, warmup=10).build(digits_context())
    assert method.weights(4.0) == {"hard": 1.0, "nckd": 3.0}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"samples": "sure"}, "samples is one of all, confident, unsure, got 'sure'"),
        ({"weight": -1.0}, "weight must be a finite number"),
        ({"temperature": 0.0}, "temperature"),
        ({"suppress": 1}, "suppress"),
    ],
)
def test_what_no_training_can_use_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        NCKDSettings(**values)


def test_the_student_learns_from_its_own_teacher_alone() -> None:
    settings = NCKDSettings(task_weight=0.0, weight=4.0, suppress=True, warmup=0)
    before, after = agreement(settings, shuffled=False)
    assert after > before + 0.2
    before, after = agreement(settings, shuffled=True)
    assert after < before + 0.15
