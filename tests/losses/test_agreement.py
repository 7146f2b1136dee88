"""Value and gradient against loops in float64, at the stated accuracy, on inputs made to lose digits."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from decant.losses import dkd_loss, kd_loss
from references import dkd, kd

N, C = 4, 6
Networks = tuple[Tensor, Tensor]


def placed(logits: Tensor, target: Tensor, gap: float) -> Tensor:
    """The target's logit put ``gap`` above (or, negative, below) the largest other."""
    index = target.unsqueeze(1)
    others = logits.scatter(1, index, -torch.inf)
    return logits.scatter(1, index, others.amax(1, keepdim=True) + gap)


def pair(scale: float = 2.0, offset: float = 0.0) -> Networks:
    return torch.randn(N, C) * scale + offset, torch.randn(N, C) * scale - offset


def at_gaps(student: float | None, teacher: float | None) -> Callable[[Tensor], Networks]:
    def make(target: Tensor) -> Networks:
        s, t = pair()
        return s if student is None else placed(s, target, student), t if teacher is None else placed(
            t, target, teacher
        )

    return make


def student_rules_out_a_likely_target(target: Tensor) -> Networks:
    s, t = pair()
    rows = torch.arange(N)
    t[rows, target], t[rows, target - 1] = 5.0, 6.0
    s[rows, target] = -1e4
    return s, t


def all_tied(_: Tensor) -> Networks:
    s = torch.zeros(N, C)
    s[0, 0] = s[1, 1:3] = 1e4
    return s, torch.zeros(N, C)


def copied(_: Tensor) -> Networks:
    s, _unused = pair()
    return s, s.clone()


HARD_CASES: dict[str, Callable[[Tensor], Networks]] = {
    "plain": lambda _: pair(),
    "confident": lambda _: pair(scale=40.0),
    "logits of 1e4": lambda _: pair(scale=1e4),
    "close logits around 1e4": lambda _: pair(offset=1e4),
    "rounded to ties": lambda _: (pair()[0].round(), pair()[1].round()),
    "all tied": all_tied,
    "student copies teacher": copied,
    "both lead by 1e4": at_gaps(1e4, 1e4),
    "student leads by 1e4": at_gaps(1e4, None),
    "teacher leads by 1e4": at_gaps(None, 1e4),
    "teacher leads where float32's 1 - p is 0": at_gaps(None, 20.0),
    "both far behind": at_gaps(-1e4, -1e4),
    "student far behind": at_gaps(-1e4, None),
    "teacher far behind": at_gaps(None, -1e4),
    "opposite certainties": at_gaps(1e4, -1e4),
    "student rules out a likely target": student_rules_out_a_likely_target,
}


def mixed_labels(target: Tensor) -> Tensor:
    share = torch.rand(N, 1)
    one_hot = F.one_hot(target, C).float()
    return share * one_hot + (1 - share) * one_hot.flip(0)


TARGETS: dict[str, Callable[[Tensor], Tensor]] = {
    "indices": lambda target: target,
    "one-hot": lambda target: F.one_hot(target, C).float(),
    "mixup": mixed_labels,
    "barely smoothed": lambda target: (1 - 1e-5) * F.one_hot(target, C).float() + 1e-5 / C,
    "dense": lambda _: torch.randn(N, C).softmax(1),
}


def assert_accurate(
    actual: Callable[[Tensor], Tensor], expected: Callable[[Tensor], Tensor], student: Tensor, t: float, weights: float
) -> None:
    """The promise for float32: each position's value, and the largest entry of the gradient of their mean."""
    mine, theirs = student.clone().requires_grad_(), student.double().requires_grad_()
    values, reference = actual(mine), expected(theirs)
    assert values.dtype == torch.float32
    assert values.shape == reference.shape
    assert ((values - reference).abs() <= 1e-6 * (reference + t**2 * weights)).all()
    (gradient,) = torch.autograd.grad(values.mean(), mine)
    (truth,) = torch.autograd.grad(reference.mean(), theirs)
    assert (gradient - truth).abs().max() <= 1e-5 * truth.abs().max() + 1e-6 * t * weights / values.numel()


@pytest.mark.parametrize("case", HARD_CASES)
@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize(("t", "alpha", "beta"), [(4.0, 1.0, 8.0), (1.0, 0.0, 1.0), (0.7, 1.0, 0.0)])
def test_dkd_is_the_papers_equation(case: str, kind: str, t: float, alpha: float, beta: float) -> None:
    torch.manual_seed(0)
    label = torch.randint(C, (N,))
    student, teacher = HARD_CASES[case](label)
    target = TARGETS[kind](label)
    assert_accurate(
        lambda s: dkd_loss(s, teacher, target, alpha=alpha, beta=beta, temperature=t, reduction="none"),
        lambda s: dkd(s, teacher, target, alpha, beta, t),
        student,
        t,
        alpha + beta,
    )


@pytest.mark.parametrize("case", HARD_CASES)
@pytest.mark.parametrize("t", [4.0, 1.0, 0.7])
def test_kd_is_hintons_equation(case: str, t: float) -> None:
    torch.manual_seed(0)
    student, teacher = HARD_CASES[case](torch.randint(C, (N,)))
    assert_accurate(
        lambda s: kd_loss(s, teacher, temperature=t, reduction="none"), lambda s: kd(s, teacher, t), student, t, 1.0
    )


@pytest.mark.parametrize("behind", [(), (3,), (2, 3)])
def test_any_number_of_dimensions_behind_the_classes(behind: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 2, C, *behind)
    indices = torch.randint(C, (2, *behind))
    probabilities = torch.randn(2, C, *behind).softmax(1)
    per_position = torch.rand(2, *behind) + 1.0
    assert_accurate(
        lambda s: kd_loss(s, teacher, reduction="none"), lambda s: kd(s, teacher), student, t=4.0, weights=1.0
    )
    for target in (indices, probabilities):
        for temperature in (torch.tensor(2.0), per_position):
            values = dkd_loss(student, teacher, target, temperature=temperature, reduction="none")
            expected = dkd(student, teacher, target, 1.0, 8.0, temperature)
            assert ((values - expected).abs() <= 1e-6 * (expected + temperature**2 * 9)).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("scale", [1.0, 50.0, 1e4])
@pytest.mark.parametrize("kind", TARGETS)
def test_half_types_are_worked_on_in_float32(dtype: torch.dtype, scale: float, kind: str) -> None:
    torch.manual_seed(0)
    student = (torch.randn(N, C) * scale).to(dtype).requires_grad_()
    teacher = (torch.randn(N, C) * scale).to(dtype)
    target = TARGETS[kind](torch.randint(C, (N,)))
    value = dkd_loss(student, teacher, target)
    (gradient,) = torch.autograd.grad(value, student)
    exact = student.detach().double().requires_grad_()
    reference = dkd(exact, teacher, target, 1.0, 8.0).mean()
    (truth,) = torch.autograd.grad(reference, exact)
    assert value.dtype == torch.float32
    assert gradient.dtype == dtype
    assert abs(value.item() - reference.item()) <= 1e-6 * (reference.item() + 16 * 9)
    # The gradient's own type rounds it once: by half a unit in the last place of the largest entry, no more.
    tolerance = (0.5 * torch.finfo(dtype).eps + 1e-5) * truth.abs().max() + 1e-6 * 4 * 9 / N
    assert (gradient - truth).abs().max() <= tolerance


def test_float64_stays_float64() -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(2, N, C, dtype=torch.float64)
    target = torch.randn(N, C).softmax(1)
    values = dkd_loss(student, teacher, target, reduction="none")
    torch.testing.assert_close(values, dkd(student, teacher, target, 1.0, 8.0), rtol=1e-12, atol=1e-12)
    assert kd_loss(student.float(), teacher).dtype == torch.float64


def test_ten_thousand_almost_equal_classes() -> None:
    # Too many for the loops; float64 stands in for them, which the tests above hold to the loops. Here log C is large
    # and the divergence small: the difference of two logarithms of sums, each rounded to float32, would be too far off.
    torch.manual_seed(0)
    student, teacher = 0.1 * torch.randn(2, 32, 10_000)
    reference = kd_loss(student.double(), teacher.double(), reduction="none")
    assert ((kd_loss(student, teacher, reduction="none") - reference).abs() <= 1e-6 * (reference + 16)).all()
