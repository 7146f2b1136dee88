"""The last layer and the loss in one, against the one after the other."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from decant.losses import chunked_linear_dkd_loss, dkd_loss

N, D, E, C = 11, 8, 6, 20


class Layers:
    """Hidden states and weights of both networks, and labels of which two are ignored."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        torch.manual_seed(0)
        self.hidden = torch.randn(N, D, dtype=dtype, requires_grad=True)
        self.weight = torch.randn(C, D, dtype=dtype, requires_grad=True)
        self.teacher = torch.randn(N, E, dtype=dtype), torch.randn(C, E, dtype=dtype)
        self.target = torch.randint(C, (N,))
        self.target[[0, 7]] = -100

    @property
    def logits(self) -> tuple[Tensor, Tensor]:
        return self.hidden @ self.weight.T, self.teacher[0] @ self.teacher[1].T

    def gradients(self, value: Tensor, upstream: Tensor, *, keep: bool = False) -> Sequence[Tensor]:
        return torch.autograd.grad(value, (self.hidden, self.weight), upstream, retain_graph=keep)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("rows", [1, 3, 11, 50, None])
@pytest.mark.parametrize("by", ["hidden", "logits"])
def test_equals_the_layer_and_then_the_loss(reduction: Any, rows: int | None, by: str) -> None:
    layers = Layers()
    student, teacher = layers.logits
    source = layers.teacher if by == "hidden" else teacher
    options: dict[str, Any] = {"alpha": 0.5, "beta": 3.0, "temperature": 2.0, "reduction": reduction}
    value = chunked_linear_dkd_loss(layers.hidden, layers.weight, source, layers.target, rows_per_chunk=rows, **options)
    expected = dkd_loss(student, teacher, layers.target, **options)
    torch.testing.assert_close(value, expected)
    upstream = torch.rand_like(value) + 0.5
    first = layers.gradients(value, upstream, keep=True)
    for found, truth in zip(first, layers.gradients(expected, upstream), strict=True):
        torch.testing.assert_close(found, truth, rtol=1e-5, atol=1e-5)
    for again, found in zip(layers.gradients(value, upstream), first, strict=True):
        torch.testing.assert_close(again, found, rtol=1e-5, atol=1e-5)


def test_gradcheck() -> None:
    layers = Layers(torch.float64)
    assert gradcheck(
        lambda h, w: chunked_linear_dkd_loss(h, w, layers.teacher, layers.target, rows_per_chunk=4),
        (layers.hidden, layers.weight),
    )


def test_half_types_lose_nothing_over_many_chunks() -> None:
    layers, half = Layers(), Layers(torch.bfloat16)
    with torch.no_grad():
        for wide, narrow in zip(
            (layers.hidden, layers.weight, *layers.teacher), (half.hidden, half.weight, *half.teacher), strict=True
        ):
            wide.copy_(narrow)
    found = chunked_linear_dkd_loss(half.hidden, half.weight, half.teacher, layers.target, rows_per_chunk=1)
    truth = chunked_linear_dkd_loss(layers.hidden, layers.weight, layers.teacher, layers.target)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, truth, rtol=0.02, atol=0.0)
    ones = torch.ones(())
    for mine, theirs in zip(half.gradients(found, ones), layers.gradients(truth, ones), strict=True):
        assert mine.dtype == torch.bfloat16
        assert (mine.float() - theirs).norm() < 0.02 * theirs.norm()


def test_never_holds_all_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    layers, seen = Layers(), []
    product = torch.Tensor.__matmul__

    def watched(self: Tensor, other: Any) -> Tensor:
        result = product(self, other)
        seen.append(len(result))
        return result

    monkeypatch.setattr(torch.Tensor, "__matmul__", watched)
    chunked_linear_dkd_loss(layers.hidden, layers.weight, layers.teacher, layers.target, rows_per_chunk=2)
    assert len(seen) == 2 * 6
    assert max(seen) == 2


def test_nothing_that_counts_gives_a_differentiable_zero() -> None:
    layers = Layers()
    value = chunked_linear_dkd_loss(layers.hidden, layers.weight, layers.teacher, torch.full((N,), -100))
    assert value == 0
    assert all((gradient == 0).all() for gradient in layers.gradients(value, torch.ones(())))
    empty = chunked_linear_dkd_loss(layers.hidden[:0], layers.weight, layers.logits[1][:0], layers.target[:0])
    assert empty == 0


def test_no_gradient_is_made_where_none_is_wanted() -> None:
    layers = Layers()
    value = chunked_linear_dkd_loss(layers.hidden.detach(), layers.weight.detach(), layers.teacher, layers.target)
    assert not value.requires_grad


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"hidden": torch.zeros(2, 3, D)}, ValueError, r"hidden must have two dimensions, got \(2, 3, 8\)"),
        ({"hidden": torch.zeros(N, D + 1)}, ValueError, r"hidden \(N, D\) and weight \(C, D\) do not fit"),
        ({"hidden": torch.zeros(N, D).double()}, TypeError, "must be of one type"),
        ({"weight": torch.zeros(1, D)}, ValueError, "at least 2 classes"),
        ({"weight": torch.zeros(C, D).long()}, TypeError, "weight must be a floating-point tensor"),
        ({"teacher": torch.zeros(N, C + 1)}, ValueError, "the teacher's logits must be"),
        ({"teacher": (torch.zeros(N, E), torch.zeros(C, E + 1))}, ValueError, "the teacher's hidden states and weight"),
        ({"target": torch.zeros(N, C)}, TypeError, "class indices"),
        ({"target": torch.full((N,), C)}, ValueError, "class indices from 0 to 19"),
        ({"temperature": 0.0}, ValueError, "temperature must be positive"),
        ({"temperature": torch.tensor(2.0)}, TypeError, "temperature must be a float here"),
        ({"reduction": "max"}, ValueError, "reduction must be one of"),
        ({"rows_per_chunk": 0}, ValueError, "rows_per_chunk must be at least 1"),
    ],
)
def test_wrong_arguments_are_refused(change: dict[str, Any], error: type[Exception], message: str) -> None:
    layers = Layers()
    arguments: dict[str, Any] = {
        "hidden": layers.hidden,
        "weight": layers.weight,
        "teacher": layers.teacher,
        "target": layers.target,
    }
    with pytest.raises(error, match=message):
        chunked_linear_dkd_loss(**arguments | change)


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_under_autocast_it_is_the_layer_under_autocast(reduction: Any) -> None:
    layers = Layers()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = layers.hidden.bfloat16()  # what the layers before it give out
        found = chunked_linear_dkd_loss(
            hidden, layers.weight, layers.teacher, layers.target, reduction=reduction, rows_per_chunk=4
        )
        student, teacher = layers.logits
        truth = dkd_loss(student, teacher, layers.target, reduction=reduction)
    torch.testing.assert_close(found, truth)
    upstream = torch.ones_like(found)
    for mine, theirs in zip(layers.gradients(found, upstream), layers.gradients(truth, upstream), strict=True):
        assert mine.dtype == torch.float32
        assert (mine - theirs).norm() < 0.02 * theirs.norm()
