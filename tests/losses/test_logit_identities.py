"""What the losses on logits published after DKD imply: identities, limits, and how they meet each other."""

from typing import Any

import pytest
import torch
from torch.autograd import gradcheck

import logit_references
from decant import losses
from losses.logit_cases import C, N, logits, value_and_gradient


def test_nkd_of_two_classes_is_about_the_target_alone() -> None:
    student, teacher, target = logits()
    terms = losses.nkd_terms(student[:, :2], teacher[:, :2], target % 2, reduction="none")
    assert (terms.others == 0).all()
    assert (terms.target > 0).all()


def test_ttm_with_gamma_1_is_classical_and_its_weight_is_between_a_sure_teacher_s_and_an_ignorant_one_s() -> None:
    student, teacher, _ = logits()
    torch.testing.assert_close(
        losses.ttm_loss(student, teacher, gamma=1.0), losses.kd_loss(student, teacher, temperature=1.0)
    )
    for teaches, weight in (torch.eye(C)[:N] * 1e4, 1.0), (torch.zeros(N, C), C**0.75):
        plain, weighted = (losses.ttm_loss(student, teaches, gamma=0.25, weighted=flag) for flag in (False, True))
        torch.testing.assert_close(weighted, weight * plain)
    with pytest.raises(ValueError, match="gamma must be positive and finite, got 0"):
        losses.ttm_loss(student, teacher, gamma=0.0)
    with pytest.raises(TypeError, match="gamma must be a number, got bool"):
        losses.ttm_loss(student, teacher, gamma=True)


def test_where_the_teacher_is_right_rld_is_dkd_with_two_temperatures() -> None:
    student, teacher, _ = logits()
    target = teacher.argmax(dim=1)
    ours = losses.rld_terms(student, teacher, target, temperature=3.0, confidence_temperature=2.0)
    torch.testing.assert_close(ours.confidence, losses.dkd_terms(student, teacher, target, temperature=2.0).tckd)
    torch.testing.assert_close(ours.correlation, losses.dkd_terms(student, teacher, target, temperature=3.0).nckd)


def test_rld_leaves_out_what_the_teacher_puts_before_the_target_or_level_with_it() -> None:
    teacher = torch.tensor([[3.0, 2.0, 2.0, 1.0, 0.0], [3.0, 2.0, 1.0, 1.0, -1.0], [0.0, 2.0, 2.0, 1.0, 5.0]])
    student = torch.randn(3, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    target = torch.tensor([1, 4, 0])  # second, and twice last: nothing is below
    correlation = losses.rld_terms(student, teacher, target, reduction="none").correlation
    assert correlation[0] > 0
    assert (correlation[1:] == 0).all()
    (gradient,) = torch.autograd.grad(correlation.sum(), student)
    assert (gradient[0, :3] == 0).all()
    assert (gradient[0, 3:] != 0).all()
    assert (gradient[1:] == 0).all()


def test_gdkd_with_the_teacher_s_own_weights_is_classical() -> None:
    student, teacher, _ = logits()
    for k in range(1, C):
        terms = losses.gdkd_terms(student, teacher, k=k, temperature=3.0, reduction="none")
        share = (teacher / 3.0).softmax(dim=1).sort(dim=1, descending=True).values[:, :k].sum(dim=1)
        together = terms.buckets + share * terms.top + (1 - share) * terms.rest
        torch.testing.assert_close(together, losses.kd_loss(student, teacher, temperature=3.0, reduction="none"))


def test_gdkd_of_one_class_is_dkd_without_a_label() -> None:
    student, teacher, _ = logits()
    buckets, top, rest = losses.gdkd_terms(student, teacher, k=1)
    torch.testing.assert_close((buckets, rest), tuple(losses.dkd_terms(student, teacher, None)))
    assert top == 0
    for k in (0, C):
        with pytest.raises(ValueError, match=f"from 1 to 5 for logits .4, 6., got {k}"):
            losses.gdkd_loss(student, teacher, k=k)
    whole: Any = 2.0
    with pytest.raises(TypeError, match=r"k must be a whole number of classes, got 2\.0"):
        losses.gdkd_loss(student, teacher, k=whole)


def test_standardised_logits_are_those_of_the_loop() -> None:
    student, _, _ = logits()
    ours = value_and_gradient(losses.standardise_logits(student)[:, 0], student)
    theirs = value_and_gradient(logit_references.standardised(student)[:, 0], student)
    torch.testing.assert_close(ours, theirs)
    assert gradcheck(losses.standardise_logits, student)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_standardised_logits_of_any_size_are_finite(dtype: torch.dtype) -> None:
    for scale, offset in (1e4, 0.0), (0.0, 3.0):
        given = (logits(dtype, scale)[0] + offset).detach().requires_grad_()
        found = losses.standardise_logits(given)
        assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        (gradient,) = torch.autograd.grad(found[:, 0].sum(), given)
        assert gradient.isfinite().all()
        if scale:
            torch.testing.assert_close(found.std(dim=1), torch.ones(N, dtype=found.dtype))
        else:
            assert (found == 0).all()
    close = torch.tensor([[1e4, 1e4 + 0.125, 1e4 + 0.25]])
    torch.testing.assert_close(losses.standardise_logits(close), torch.tensor([[-1.0, 0.0, 1.0]]))


def test_standardised_logits_want_classes() -> None:
    whole: Any = torch.ones(2, 3).long()
    with pytest.raises(TypeError, match="must hold floating-point logits"):
        losses.standardise_logits(whole)
    with pytest.raises(ValueError, match="at least 2 classes in dimension 1"):
        losses.standardise_logits(torch.zeros(3, 1))


@pytest.mark.parametrize("name", ["gdkd", "rld", "nkd"])
def test_a_temperature_may_learn(name: str) -> None:
    student, teacher, target = logits(behind=(2,))
    function = getattr(losses, f"{name}_loss")
    inputs = (student, teacher) if name == "gdkd" else (student, teacher, target)
    for temperature in torch.tensor(2.5).double(), torch.rand(N, 2).double() + 1:
        temperature.requires_grad_()
        assert gradcheck(lambda s, t: function(s, *inputs[1:], temperature=t), (student, temperature))


def test_luminet_does_not_see_a_factor_or_a_shift_of_a_class() -> None:
    student, teacher, _ = logits(scale=50.0)
    factor, shift = torch.rand(C).double() + 0.5, torch.randn(C).double()
    torch.testing.assert_close(
        losses.luminet_loss(factor * student + shift, teacher), losses.luminet_loss(student, teacher), rtol=1e-5, atol=0
    )


def test_relations_of_dist_are_those_of_a_factor_and_a_shift() -> None:
    # Rows of the student that are a linear function of the teacher's, the same for all: no relation is lost.
    p = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3], [0.2, 0.2, 0.6]], dtype=torch.float64)
    terms = losses.dist_terms((0.5 * p + 0.5 / 3).log(), p.log(), temperature=1.0)
    torch.testing.assert_close(terms.inter, torch.zeros((), dtype=torch.float64), atol=1e-15, rtol=0)
    torch.testing.assert_close(terms.intra, torch.zeros((), dtype=torch.float64), atol=1e-15, rtol=0)
    apart = losses.dist_loss(*logits()[:2], inter_weight=3.0, intra_weight=0.5, temperature=2.0)
    inter, intra = losses.dist_terms(*logits()[:2], temperature=2.0)
    torch.testing.assert_close(apart, 3.0 * inter + 0.5 * intra)
    by_sample: Any = torch.full((N,), 4.0)
    with pytest.raises(TypeError, match="temperature must be a number here"):
        losses.dist_loss(*logits()[:2], temperature=by_sample)


def test_a_class_that_no_sample_of_the_batch_comes_near_still_counts_for_dist() -> None:
    student, teacher, _ = logits(torch.float32)
    rare = torch.zeros(N, C)
    rare[:, 0] = -300.0  # its probabilities are 0 in float32
    terms, expected = (
        losses.dist_terms(s + rare.to(s), t + rare.to(t), temperature=1.0)
        for s, t in ((student, teacher), (student.double(), teacher.double()))
    )
    torch.testing.assert_close(terms.intra.double(), expected.intra, rtol=1e-5, atol=1e-6)
    (gradient,) = torch.autograd.grad(terms.intra, student)
    assert gradient[:, 0].abs().max() > 1e-3


def test_what_is_constant_has_no_direction_for_dist() -> None:
    _, teacher, _ = logits()
    flat = torch.zeros(N, C).double().requires_grad_()
    both, one = (losses.dist_terms(flat, t, temperature=1.0) for t in (torch.ones(N, C), teacher))
    assert [term.item() for term in both] == [0, 0]
    assert [term.item() for term in one] == pytest.approx([0.5, 0.5])
    (gradient,) = torch.autograd.grad(one.inter + one.intra, flat)
    assert gradient.isfinite().all()
