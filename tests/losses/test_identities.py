"""What the equations imply: identities, symmetries, closed-form gradients."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional as F

from decant.losses import dkd_loss, dkd_terms, kd_loss

few_examples = settings(max_examples=25, deadline=None, derandomize=True)


@st.composite
def problems(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor, float]:
    """Student, teacher (float64, up to confident), target indices, temperature."""
    n, c = draw(st.integers(1, 4)), draw(st.integers(2, 7))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    scale = draw(st.sampled_from([0.1, 1.0, 10.0, 100.0]))
    student, teacher = scale * torch.randn(2, n, c, generator=generator, dtype=torch.float64)
    target = torch.randint(c, (n,), generator=generator)
    return student, teacher, target, draw(st.floats(0.5, 10.0))


@given(problems())
@few_examples
def test_kd_is_tckd_plus_the_teachers_doubt_times_nckd(problem: tuple[Tensor, Tensor, Tensor, float]) -> None:
    student, teacher, target, t = problem
    tckd, nckd = dkd_terms(student, teacher, target, temperature=t, reduction="none")
    doubt = 1 - (teacher / t).softmax(1).gather(1, target[:, None])[:, 0]
    together = kd_loss(student, teacher, temperature=t, reduction="none")
    torch.testing.assert_close(tckd + doubt * nckd, together, rtol=1e-9, atol=1e-9)


@given(problems())
@few_examples
def test_soft_labels_mean_the_expectation(problem: tuple[Tensor, Tensor, Tensor, float]) -> None:
    student, teacher, _, t = problem
    n, c = student.shape
    torch.manual_seed(n)
    y = torch.randn(n, c, dtype=torch.float64).softmax(1)
    soft = dkd_terms(student, teacher, y, temperature=t, reduction="none")
    hard = [dkd_terms(student, teacher, torch.full((n,), k), temperature=t, reduction="none") for k in range(c)]
    for name in ("tckd", "nckd"):
        expected = sum(y[:, k] * getattr(hard[k], name) for k in range(c))
        torch.testing.assert_close(getattr(soft, name), expected, rtol=1e-9, atol=1e-9)


@given(problems())
@few_examples
def test_divergences_are_not_negative(problem: tuple[Tensor, Tensor, Tensor, float]) -> None:
    student, teacher, target, t = problem
    for term in (*dkd_terms(student, teacher, target, temperature=t), kd_loss(student, teacher, temperature=t)):
        assert term >= -1e-12 * t**2


@given(problems(), st.floats(-1e4, 1e4))
@few_examples
def test_a_shift_of_either_network_changes_nothing(problem: tuple[Tensor, Tensor, Tensor, float], shift: float) -> None:
    student, teacher, target, t = problem
    for y in (target, F.one_hot(target, student.shape[1]).double() * 0.9 + 0.1 / student.shape[1]):
        there = dkd_loss(student + shift, teacher - 2 * shift, y, temperature=t)
        torch.testing.assert_close(there, dkd_loss(student, teacher, y, temperature=t), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(
        kd_loss(student + shift, teacher, temperature=t), kd_loss(student, teacher, temperature=t), rtol=1e-6, atol=1e-6
    )


@given(problems(), st.integers(0, 999))
@few_examples
def test_renaming_the_classes_changes_nothing(problem: tuple[Tensor, Tensor, Tensor, float], seed: int) -> None:
    student, teacher, target, t = problem
    order = torch.randperm(student.shape[1], generator=torch.Generator().manual_seed(seed))
    renamed = order.argsort()[target]
    there = dkd_loss(student[:, order], teacher[:, order], renamed, temperature=t)
    torch.testing.assert_close(there, dkd_loss(student, teacher, target, temperature=t), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_a_copy_of_the_teacher_has_nothing_to_learn(dtype: torch.dtype, scale: float) -> None:
    torch.manual_seed(0)
    teacher = (torch.randn(5, 7) * scale).to(dtype)
    student = teacher.clone().requires_grad_()
    soft = torch.randn(5, 7).softmax(1)
    for loss in (kd_loss(student, teacher), *(dkd_loss(student, teacher, y) for y in (None, soft, torch.arange(5)))):
        assert loss == 0
        (gradient,) = torch.autograd.grad(loss, student)
        assert gradient.abs().max() < 1e-6 * 4 * 9


@pytest.mark.parametrize("soft", [False, True])
def test_two_classes_leave_nckd_exactly_zero(soft: bool) -> None:
    torch.manual_seed(0)
    student = (torch.randn(200, 2) * 3).requires_grad_()
    teacher = torch.randn(200, 2) * 3
    target = torch.rand(200, 1) if soft else torch.randint(2, (200,))
    tckd, nckd = dkd_terms(student, teacher, torch.cat((target, 1 - target), 1) if soft else target, reduction="none")
    assert (nckd == 0).all()
    assert (torch.autograd.grad(nckd.sum(), student)[0] == 0).all()
    if not soft:
        torch.testing.assert_close(tckd, kd_loss(student, teacher, reduction="none"), rtol=1e-5, atol=1e-5)


def test_gradients_have_the_closed_form() -> None:
    torch.manual_seed(0)
    t = 3.0
    student = torch.randn(1, 5, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(1, 5, dtype=torch.float64)
    tckd, nckd = dkd_terms(student, teacher, torch.tensor([2]), temperature=t)
    (of_tckd,) = torch.autograd.grad(tckd, student, retain_graph=True)
    (of_nckd,) = torch.autograd.grad(nckd, student)
    others = torch.tensor([0, 1, 3, 4])
    p, q = (teacher / t).softmax(1), (student.detach() / t).softmax(1)
    p_hat, q_hat = (r[:, others] / r[:, others].sum() for r in (p, q))
    surplus = q[:, 2] - p[:, 2]
    torch.testing.assert_close(of_tckd[:, 2], t * surplus)
    torch.testing.assert_close(of_tckd[:, others], -t * surplus * q_hat)
    torch.testing.assert_close(of_nckd[:, others], t * (q_hat - p_hat))
    assert of_nckd[0, 2] == 0


@pytest.mark.parametrize("kind", ["indices", "soft", "none"])
def test_gradcheck_of_student_and_temperature(kind: str) -> None:
    torch.manual_seed(0)
    student, teacher = 2 * torch.randn(2, 3, 4, 2, dtype=torch.float64)
    target = {"indices": torch.randint(4, (3, 2)), "soft": torch.randn(3, 4, 2).softmax(1).double(), "none": None}[kind]
    if isinstance(target, Tensor) and kind == "indices":
        target[0, 0] = -100
    student.requires_grad_()

    def dkd(s: Tensor, t: Tensor) -> Tensor:
        return dkd_loss(s, teacher, target, temperature=t, reduction="none")

    def kd(s: Tensor, t: Tensor) -> Tensor:
        return kd_loss(s, teacher, temperature=t, reduction="none")

    scalar = torch.tensor(2.5, dtype=torch.float64, requires_grad=True)
    per_position = (1 + torch.rand(3, 2, dtype=torch.float64)).requires_grad_()
    functions: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (dkd, kd)
    for function in functions:
        for temperature in (scalar, per_position):
            assert gradcheck(function, (student, temperature))
        assert gradgradcheck(function, (student, scalar))


@pytest.mark.parametrize("kind", ["indices", "soft"])
def test_weighted_terms_and_loss_make_the_same_gradient(kind: str) -> None:
    torch.manual_seed(0)
    student = torch.randn(8, 10, requires_grad=True)
    teacher = torch.randn(8, 10)
    target = torch.arange(8) if kind == "indices" else torch.randn(8, 10).softmax(1)
    terms = dkd_terms(student, teacher, target, temperature=2.0)
    (by_terms,) = torch.autograd.grad(0.5 * terms.tckd + 6.0 * terms.nckd, student)
    (by_loss,) = torch.autograd.grad(dkd_loss(student, teacher, target, alpha=0.5, beta=6.0, temperature=2.0), student)
    assert (by_terms - by_loss).abs().max() <= 1e-6 * by_loss.abs().max()
    assert by_loss.abs().max() > 0


def test_only_the_student_and_the_temperature_learn() -> None:
    torch.manual_seed(0)
    student, teacher, temperature = (
        torch.randn(4, 5, requires_grad=True),
        torch.randn(4, 5, requires_grad=True),
        torch.tensor(4.0, requires_grad=True),
    )
    target = torch.full((4, 5), 0.2, requires_grad=True)
    torch.autograd.backward(kd_loss(student, teacher, temperature=temperature) + dkd_loss(student, teacher, target))
    assert student.grad is not None
    assert temperature.grad is not None
    assert teacher.grad is None
    assert target.grad is None


def test_no_target_means_the_teachers_choice() -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 6, 5, 3)
    torch.testing.assert_close(
        dkd_loss(student, teacher, None), dkd_loss(student, teacher, teacher.argmax(1)), rtol=0, atol=0
    )
