"""Distillation of yes/no outputs: the stated equations as loops in float64, their identities, and what is refused."""

import inspect
import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from decant.losses import bernoulli_dkd_loss, bernoulli_dkd_terms, bernoulli_kd_loss, kd_loss
from decant.methods import BernoulliDKDSettings, BernoulliKDSettings

N, C = 5, 4


def pair(scale: float = 2.0, dtype: torch.dtype = torch.float64, shape: tuple[int, ...] = (N, C)) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(7)
    student, teacher = (scale * torch.randn(2, *shape, generator=generator, dtype=torch.float64)).to(dtype)
    return student.requires_grad_(), teacher, torch.randint(2, shape, generator=generator)


def log_sigmoid(z: float) -> float:
    return -math.log1p(math.exp(-z)) if z > 0 else z - math.log1p(math.exp(z))


def by_loops(student: Tensor, teacher: Tensor, target: Tensor, temperature: float) -> tuple[float, float]:
    """T^2 / (N C) times the sum of p (log p - log q) + (1 - p) (log(1 - p) - log(1 - q)), by what the target says."""
    parts = [0.0, 0.0]
    for own, goal, has in zip(student.flatten(), teacher.flatten(), target.flatten(), strict=True):
        a, b = float(goal) / temperature, float(own) / temperature
        p = math.exp(log_sigmoid(a))
        divergence = p * (log_sigmoid(a) - log_sigmoid(b)) + (1 - p) * (log_sigmoid(-a) - log_sigmoid(-b))
        parts[int(has) == 0] += temperature**2 * divergence / target.numel()
    return parts[0], parts[1]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_the_terms_are_the_stated_sums(temperature: float) -> None:
    student, teacher, target = pair()
    expected = by_loops(student.detach(), teacher, target, temperature)
    terms = bernoulli_dkd_terms(student, teacher, target, temperature=temperature)
    assert tuple(term.item() for term in terms) == pytest.approx(expected, rel=1e-12)
    loss = bernoulli_dkd_loss(student, teacher, target, alpha=3.0, beta=0.5, temperature=temperature)
    assert loss.item() == pytest.approx(3 * expected[0] + 0.5 * expected[1], rel=1e-12)


def test_with_equal_weights_it_is_the_classical_loss() -> None:
    student, teacher, target = pair()
    classical = bernoulli_kd_loss(student, teacher, temperature=3.0)
    decoupled = bernoulli_dkd_loss(student, teacher, target, alpha=2.5, beta=2.5, temperature=3.0)
    torch.testing.assert_close(decoupled, 2.5 * classical)


def test_one_output_is_two_classes_of_the_loss_for_one_class_of_each_sample() -> None:
    student, teacher, _ = pair(shape=(N, 1))
    two = (torch.cat([torch.zeros_like(z), z], 1) for z in (student, teacher))
    torch.testing.assert_close(bernoulli_kd_loss(student, teacher), kd_loss(*two))


def test_gradients_are_derivatives_and_the_teacher_gets_none() -> None:
    student, teacher, target = pair()
    teacher.requires_grad_()
    assert gradcheck(lambda z: bernoulli_dkd_loss(z, teacher.detach(), target, alpha=2.0, beta=0.3), student)
    bernoulli_dkd_loss(student, teacher, target).backward()
    assert teacher.grad is None
    assert student.grad is not None
    expected = 4.0 * ((student / 4).sigmoid() - (teacher / 4).sigmoid()).detach() / (N * C)
    torch.testing.assert_close(student.grad, expected)


@pytest.mark.parametrize("scale", [2.0, 40.0, 1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_copy_of_the_teacher_has_nothing_to_learn(scale: float, dtype: torch.dtype) -> None:
    _, teacher, target = pair(scale, dtype)
    copy = teacher.clone().requires_grad_()
    loss = bernoulli_dkd_loss(copy, teacher, target, alpha=5.0)
    loss.backward()
    assert loss.item() == 0.0
    assert copy.grad is not None
    assert copy.grad.abs().max() <= 1e-6 / (N * C) * 4 * 5


@pytest.mark.parametrize("scale", [0.1, 2.0, 40.0, 1e4])
@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_float32_is_as_good_as_its_digits(scale: float, temperature: float) -> None:
    student, teacher, target = pair(scale, torch.float32)
    exact = student.detach().double().requires_grad_()
    ours = bernoulli_dkd_loss(student, teacher, target, temperature=temperature)
    truth = bernoulli_dkd_loss(exact, teacher.double(), target, temperature=temperature)
    ours.backward()
    truth.backward()
    assert abs(ours.item() - truth.item()) <= 1e-6 * (truth.item() + 2 * temperature**2)
    assert student.grad is not None
    assert exact.grad is not None
    assert (student.grad - exact.grad).abs().max() <= 1e-5 * exact.grad.abs().max() + 1e-6 * temperature / N
    assert bool(student.grad.isfinite().all())


@pytest.mark.parametrize("lead", [1e4, -1e4])
def test_logits_of_1e4_against_each_other(lead: float) -> None:
    student = torch.full((1, 2), -lead, requires_grad=True)
    loss = bernoulli_dkd_loss(student, torch.full((1, 2), lead), torch.tensor([[1, 0]]), temperature=1.0)
    loss.backward()
    assert loss.item() == pytest.approx(1e4)
    assert student.grad is not None
    torch.testing.assert_close(student.grad, torch.full((1, 2), math.copysign(0.5, -lead)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types_are_worked_in_float32(dtype: torch.dtype) -> None:
    student, teacher, target = pair(dtype=dtype)
    loss = bernoulli_dkd_loss(student, teacher, target)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, bernoulli_dkd_loss(student.float(), teacher.float(), target))


def test_every_kind_of_target() -> None:
    student, teacher, target = pair()
    expected = bernoulli_dkd_loss(student, teacher, target, alpha=3.0)
    for other in (target.bool(), target.float(), target.to(torch.uint8)):
        assert torch.equal(bernoulli_dkd_loss(student, teacher, other, alpha=3.0), expected)
    believed = bernoulli_dkd_terms(student, teacher, teacher > 0)
    assert torch.equal(torch.stack(bernoulli_dkd_terms(student, teacher, None)), torch.stack(believed))
    half = bernoulli_dkd_terms(student, teacher, torch.full((N, C), 0.5))
    torch.testing.assert_close(half.positives, bernoulli_kd_loss(student, teacher) / 2)
    torch.testing.assert_close(half.negatives, half.positives)


def test_reductions_dimensions_and_temperatures() -> None:
    student, teacher, target = pair(shape=(N, C, 2, 3))
    entries = bernoulli_dkd_loss(student, teacher, target, alpha=2.0, reduction="none")
    assert entries.shape == (N, C, 2, 3)
    torch.testing.assert_close(bernoulli_dkd_loss(student, teacher, target, alpha=2.0), entries.mean())
    torch.testing.assert_close(bernoulli_dkd_loss(student, teacher, target, alpha=2.0, reduction="sum"), entries.sum())
    each = torch.full((N, 2, 3), 4.0, dtype=torch.float64, requires_grad=True)
    loss = bernoulli_dkd_loss(student, teacher, target, alpha=2.0, temperature=each)
    torch.testing.assert_close(loss, entries.mean())
    loss.backward()
    assert each.grad is not None


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"target": torch.zeros(N, dtype=torch.long)},
            ValueError,
            r"shape of the logits \(5, 4\).*class indices are for",
        ),
        ({"target": torch.full((N, C), 2)}, ValueError, "target must be 0 or 1"),
        ({"target": torch.full((N, C), -0.5)}, ValueError, "target must be 0 or 1"),
        ({"target": [[1]]}, TypeError, "target must be None or a tensor of 0 and 1 for every class, got list"),
        ({"teacher": torch.zeros(N, C + 1)}, ValueError, r"over the same classes, got \(5, 4\) and \(5, 5\)"),
        ({"student": torch.zeros(N, C, dtype=torch.long)}, TypeError, "student must hold floating-point logits"),
        ({"temperature": 0.0}, ValueError, "temperature must be positive"),
        ({"reduction": "batchmean"}, ValueError, "reduction must be one of mean, sum, none"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any], error: type[Exception], message: str) -> None:
    student, teacher, target = pair(dtype=torch.float32)
    given: dict[str, Any] = {"student": student, "teacher": teacher, "target": target, **change}
    with pytest.raises(error, match=message):
        bernoulli_dkd_loss(**given)


@pytest.mark.parametrize(
    ("loss", "settings"), [(bernoulli_dkd_loss, BernoulliDKDSettings()), (bernoulli_kd_loss, BernoulliKDSettings())]
)
def test_defaults_are_those_of_the_method(loss: Any, settings: Any) -> None:
    for name in ("alpha", "beta", "temperature"):
        if (parameter := inspect.signature(loss).parameters.get(name)) is not None:
            assert parameter.default == getattr(settings, name)
