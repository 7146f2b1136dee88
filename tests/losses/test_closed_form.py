"""The closed form against the plain equations, which a temperature that is a tensor takes."""

from collections.abc import Callable
from typing import Literal

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad, gradcheck, gradgradcheck

from decant.losses import dkd_loss, dkd_terms, kd_loss, rows

Reduction = Literal["mean", "sum", "none"]
Loss = Callable[[Tensor, Tensor, Tensor | None, float | Tensor, Reduction], Tensor]


def by_loss(s: Tensor, t: Tensor, y: Tensor | None, temperature: float | Tensor, reduction: Reduction) -> Tensor:
    return dkd_loss(s, t, y, alpha=0.5, beta=3.0, temperature=temperature, reduction=reduction)


def by_terms(s: Tensor, t: Tensor, y: Tensor | None, temperature: float | Tensor, reduction: Reduction) -> Tensor:
    terms = dkd_terms(s, t, y, temperature=temperature, reduction=reduction)
    return 0.5 * terms.tckd + 3.0 * terms.nckd


def by_kd(s: Tensor, t: Tensor, y: Tensor | None, temperature: float | Tensor, reduction: Reduction) -> Tensor:
    return kd_loss(s, t, temperature=temperature, reduction=reduction, mask=None if y is None else y != -100)


LOSSES: dict[str, Loss] = {"dkd_loss": by_loss, "dkd_terms": by_terms, "kd_loss": by_kd}


def problem(shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, and labels of which every third is ignored."""
    student, teacher = 3 * torch.randn(2, *shape)
    target = torch.randint(shape[1], (shape[0], *shape[2:]))
    target.view(-1)[::3] = -100
    return student.to(dtype).requires_grad_(), teacher.to(dtype), target


@pytest.fixture(
    params=[(2**16, 2**18), (64, 2**18), (64, 0)], ids=["one block", "kept", "measured twice"], autouse=True
)
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """64 entries are less than a row of some problems and no whole number of rows of others."""
    torch.manual_seed(0)
    monkeypatch.setattr(rows, "BLOCK", request.param[0])
    monkeypatch.setattr(rows, "KEPT", request.param[1])


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("labels", ["some ignored", "all counted", "none"])
@pytest.mark.parametrize("shape", [(7, 10), (1, 100), (5, 2), (2, 9, 3, 5), (0, 4)])
def test_same_values_and_gradients_as_the_plain_equations(
    loss: str, reduction: Reduction, labels: str, shape: tuple[int, ...]
) -> None:
    student, teacher, target = problem(shape)
    labelled = {"some ignored": target, "all counted": target.clamp(min=0), "none": None}[labels]
    upstream = 3.0 * torch.rand((shape[0], *shape[2:]) if reduction == "none" else ()) + 0.5
    found = []
    for temperature in (3.0, torch.tensor(3.0)):
        value = LOSSES[loss](student, teacher, labelled, temperature, reduction)
        found += [value, *torch.autograd.grad(value, student, upstream)]
    torch.testing.assert_close(found[0], found[2], rtol=2e-6, atol=1e-5)
    torch.testing.assert_close(found[1], found[3], rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("types", [(torch.float16, torch.float16), (torch.bfloat16, torch.float32)])
def test_half_types_get_gradients_of_their_own_type(loss: str, types: tuple[torch.dtype, torch.dtype]) -> None:
    student, teacher, target = problem((6, 50))
    mine, theirs = student.detach().to(types[0]).requires_grad_(), teacher.to(types[1])
    value = LOSSES[loss](mine, theirs, target, 4.0, "mean")
    wide = mine.detach().float().requires_grad_()
    expected = LOSSES[loss](wide, theirs.float(), target, 4.0, "mean")
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, expected)
    (gradient,), (truth,) = torch.autograd.grad(value, mine), torch.autograd.grad(expected, wide)
    assert gradient.dtype == types[0]
    torch.testing.assert_close(gradient, truth.to(types[0]))


@pytest.mark.parametrize("loss", LOSSES)
def test_a_loss_scaler_finds_gradients_that_half_types_would_round_to_zero(loss: str) -> None:
    student, teacher, target = problem((600, 10))
    mine, scale = student.detach().half().requires_grad_(), 2.0**16
    nearly = mine.detach() + 1e-3 * teacher.half()
    (scaled,) = torch.autograd.grad(scale * LOSSES[loss](mine, nearly, target, 1.0, "mean"), mine)
    wide = mine.detach().double().requires_grad_()
    (truth,) = torch.autograd.grad(scale * LOSSES[loss](wide, nearly.double(), target, 1.0, "mean"), wide)
    assert truth.abs().median() / scale < torch.finfo(torch.float16).smallest_normal
    torch.testing.assert_close(scaled.double(), truth, rtol=0.01, atol=1e-3)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_first_and_second_derivatives_by_finite_differences(loss: str, reduction: Reduction) -> None:
    student, teacher, target = problem((4, 5), torch.float64)

    def value(s: Tensor) -> Tensor:
        return LOSSES[loss](s, teacher, target, 2.5, reduction)

    assert gradcheck(value, (student,))
    assert gradgradcheck(value, (student,))


@pytest.mark.parametrize("loss", LOSSES)
def test_a_retained_graph_gives_the_same_gradient_again(loss: str) -> None:
    student, teacher, target = problem((9, 12))
    value = LOSSES[loss](student, teacher, target, 4.0, "mean")
    (first,) = torch.autograd.grad(2.0 * value, student, retain_graph=True)
    (second,) = torch.autograd.grad(2.0 * value, student)
    assert torch.equal(first, second)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_many_upstream_gradients_at_once(loss: str, reduction: Reduction) -> None:
    student, teacher, target = problem((9, 12))
    value = LOSSES[loss](student, teacher, target, 4.0, reduction)
    upstream = torch.randn(3, *value.shape)
    (at_once,) = torch.autograd.grad(value, student, upstream, retain_graph=True, is_grads_batched=True)
    one_by_one = [torch.autograd.grad(value, student, each, retain_graph=True)[0] for each in upstream]
    torch.testing.assert_close(at_once, torch.stack(one_by_one))


def test_a_weight_that_is_a_tensor_learns() -> None:
    student, teacher, target = problem((4, 5))
    beta = torch.tensor(2.0, requires_grad=True)
    nckd = dkd_terms(student, teacher, target).nckd
    (of_beta,) = torch.autograd.grad(dkd_loss(student, teacher, target, beta=beta), beta)  # type: ignore[arg-type]  # more than is promised, and not lost
    torch.testing.assert_close(of_beta, nckd.detach())


def test_logits_changed_in_place_before_the_backward_pass_are_noticed() -> None:
    student, teacher, target = problem((40, 30))
    terms = dkd_terms(student, teacher, target)
    teacher.add_(torch.randn(40, 30))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        terms.nckd.backward()


def test_terms_may_be_changed_in_place() -> None:
    student, teacher, target = problem((4, 5))
    terms = dkd_terms(student, teacher, target)
    total = terms.tckd.mul_(2.0).add_(terms.nckd)
    (gradient,) = torch.autograd.grad(total, student)
    (expected,) = torch.autograd.grad(dkd_loss(student, teacher, target, alpha=2.0, beta=1.0), student)
    torch.testing.assert_close(gradient, expected)


def test_transforms_of_torch_func_look_into_the_loss() -> None:
    student, teacher, target = problem((4, 5))
    found = torch.func.grad(lambda s: dkd_loss(s, teacher, target))(student.detach())
    (expected,) = torch.autograd.grad(dkd_loss(student, teacher, target), student)
    torch.testing.assert_close(found, expected)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:FutureWarning")  # torch's own forward mode
@pytest.mark.parametrize("loss", LOSSES)
def test_many_gradients_at_once_and_forward_mode(loss: str) -> None:
    student, teacher, target = problem((4, 5))

    def values(s: Tensor) -> Tensor:
        return LOSSES[loss](s, teacher, target, 3.0, "none")

    one_by_one = torch.autograd.functional.jacobian(values, student.detach())
    at_once = torch.func.jacrev(values)(student.detach())
    torch.testing.assert_close(at_once, one_by_one, rtol=1e-5, atol=1e-6)
    direction = torch.randn(4, 5)
    with forward_ad.dual_level():
        moving = forward_ad.unpack_dual(values(forward_ad.make_dual(student, direction))).tangent
    torch.testing.assert_close(moving, (one_by_one * direction).sum((1, 2)), rtol=1e-5, atol=1e-6)
