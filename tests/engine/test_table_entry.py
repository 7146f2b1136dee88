"""Entries of a table: what comes back is what was put in, and where it is less, exactly what it is said to be."""

import pytest
import torch
from torch import Tensor

from decant.engine.table_entry import EveryLogit, LargestLogits
from decant.losses import dkd_terms

CLASSES, TOP, TEMPERATURE = 40, 6, 3.0


@pytest.fixture
def logits() -> Tensor:
    return 4 * torch.randn(16, CLASSES, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def target() -> Tensor:
    return torch.arange(16)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_every_logit_comes_back_rounded(logits: Tensor, dtype: torch.dtype) -> None:
    entry = EveryLogit(CLASSES, dtype)
    packed = entry.pack(logits)
    assert packed.dtype == torch.uint8
    assert packed.shape == (16, entry.bytes) == (16, CLASSES * dtype.itemsize)
    assert torch.equal(entry.unpack(packed), logits.to(dtype).float())


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
@pytest.mark.parametrize("classes", [CLASSES, 2**15 + 9])
def test_target_and_largest_come_back_and_the_rest_are_alike(
    logits: Tensor, target: Tensor, dtype: torch.dtype, classes: int
) -> None:
    # Classes beyond 2^15 need wider numbers; the first ones are moved there, so that they are among the largest.
    wide = torch.cat([torch.full((16, classes - CLASSES), -9.0), logits], 1)
    target = target + classes - CLASSES
    entry = LargestLogits(classes, dtype, TOP, TEMPERATURE)
    packed = entry.pack(wide, target)
    assert packed.shape == (16, entry.bytes) == (16, TOP * (dtype.itemsize + (2 if classes <= 2**15 else 4)) + 4)
    rebuilt = entry.unpack(packed)
    others = wide.scatter(1, target.unsqueeze(1), -torch.inf)
    kept = torch.cat([target.unsqueeze(1), others.topk(TOP - 1).indices], 1)
    assert torch.equal(rebuilt.gather(1, kept), wide.gather(1, kept).to(dtype).float())
    rest = torch.ones(16, classes).scatter(1, kept, 0.0).bool()
    assert all(len(row[mask].unique()) == 1 for row, mask in zip(rebuilt, rest, strict=True))


def test_probabilities_of_what_is_kept_are_exact_at_the_temperature_and_there_alone(
    logits: Tensor, target: Tensor
) -> None:
    entry = LargestLogits(CLASSES, torch.float32, TOP, TEMPERATURE)
    rebuilt = entry.unpack(entry.pack(logits, target))
    kept = rebuilt == logits
    assert kept.sum() == 16 * TOP
    true, found = ((z / TEMPERATURE).softmax(1) for z in (logits, rebuilt))
    torch.testing.assert_close(found[kept], true[kept], rtol=1e-5, atol=0)
    true, found = (z.softmax(1) for z in (logits, rebuilt))
    assert not torch.allclose(found[kept], true[kept], rtol=1e-3)


def test_tckd_is_exact_and_nckd_nearly(logits: Tensor, target: Tensor) -> None:
    """NCKD lacks what the teacher says about the differences within the rest: less, the more is kept."""
    student = torch.randn(16, CLASSES, generator=torch.Generator().manual_seed(1)).requires_grad_()
    true = dkd_terms(student, logits, target, temperature=TEMPERATURE)
    errors = []
    for top in (6, 12, 24, 39):
        entry = LargestLogits(CLASSES, torch.float32, top, TEMPERATURE)
        found = dkd_terms(student, entry.unpack(entry.pack(logits, target)), target, temperature=TEMPERATURE)
        torch.testing.assert_close(found.tckd, true.tckd, rtol=1e-5, atol=1e-6)
        gradients = [torch.autograd.grad(t.tckd, student, retain_graph=True)[0] for t in (true, found)]
        torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-4, atol=1e-7)
        errors.append(abs(float((found.nckd - true.nckd).detach() / true.nckd.detach())))
    assert errors == sorted(errors, reverse=True)
    assert 0.01 < errors[0] < 0.5
    assert errors[-1] < 1e-5, "a rest of one class is no approximation"


def test_without_a_target_the_largest_are_kept(logits: Tensor) -> None:
    entry = LargestLogits(CLASSES, torch.float32, 1, TEMPERATURE)
    rebuilt = entry.unpack(entry.pack(logits))
    assert torch.equal(rebuilt.amax(1), logits.amax(1))
    assert torch.equal(rebuilt.argmax(1), logits.argmax(1))
