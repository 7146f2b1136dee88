"""The losses under torch.compile: one graph, the same numbers."""

import shutil

import pytest
import torch
from torch import Tensor

from decant.losses import dkd_loss, kd_loss


def both_losses(student: Tensor, teacher: Tensor, target: Tensor | None, temperature: float | Tensor) -> Tensor:
    mask = target >= 0 if target is not None and not target.is_floating_point() else None
    return dkd_loss(student, teacher, target, temperature=temperature) + kd_loss(student, teacher, mask=mask)


def assert_same_when_compiled(kind: str, temperature: float | Tensor, backend: str) -> None:
    torch.manual_seed(0)
    student = torch.randn(6, 5, 2, requires_grad=True)
    teacher = torch.randn(6, 5, 2)
    indices = torch.randint(5, (6, 2))
    indices[0, 0] = -100
    target = {"indices": indices, "soft": torch.randn(6, 5, 2).softmax(1), "none": None}[kind]
    torch.compiler.reset()
    compiled = torch.compile(both_losses, fullgraph=True, backend=backend)
    mine, plain = (f(student, teacher, target, temperature) for f in (compiled, both_losses))
    torch.testing.assert_close(mine, plain)
    torch.testing.assert_close(*(torch.autograd.grad(loss, student)[0] for loss in (mine, plain)))


def test_one_graph_and_the_same_numbers_for_indices() -> None:
    assert_same_when_compiled("indices", torch.full((6, 2), 3.0), "aot_eager")


def test_one_graph_and_the_same_numbers_for_soft_labels() -> None:
    assert_same_when_compiled("soft", 4.0, "aot_eager")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
@pytest.mark.filterwarnings("default")  # what inductor's own imports warn of is not ours to fix
@pytest.mark.parametrize("kind", ["indices", "soft", "none"])
@pytest.mark.parametrize("temperature", [4.0, torch.full((6, 2), 3.0)], ids=["float", "tensor"])
def test_one_graph_and_the_same_numbers_in_generated_code(kind: str, temperature: float | Tensor) -> None:
    assert_same_when_compiled(kind, temperature, "inductor")


def test_a_wrong_label_is_still_caught() -> None:
    torch.compiler.reset()
    compiled = torch.compile(dkd_loss, fullgraph=True, backend="aot_eager")
    logits = torch.zeros(2, 3)
    with pytest.raises(RuntimeError, match="class indices from 0 to 2"):
        compiled(logits, logits, torch.tensor([0, 3]))
