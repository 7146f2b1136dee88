"""What goes in and out: reductions, positions that do not count, types, NaN, and what every wrong argument is told."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from decant.losses import dkd_loss, dkd_terms, kd_loss


@pytest.fixture
def student() -> Tensor:
    return torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()


@pytest.fixture
def teacher() -> Tensor:
    return torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def target() -> Tensor:
    return torch.randint(5, (4, 3), generator=torch.Generator().manual_seed(2))


def test_mean_and_sum_are_those_of_the_values(student: Tensor, teacher: Tensor, target: Tensor) -> None:
    for values, mean, total in zip(
        (dkd_loss(student, teacher, target, reduction="none"), kd_loss(student, teacher, reduction="none")),
        (dkd_loss(student, teacher, target), kd_loss(student, teacher)),
        (dkd_loss(student, teacher, target, reduction="sum"), kd_loss(student, teacher, reduction="sum")),
        strict=True,
    ):
        assert values.shape == (4, 3)
        torch.testing.assert_close(mean, values.mean())
        torch.testing.assert_close(total, values.sum())


@pytest.mark.parametrize("ignore_index", [-100, 2])
def test_ignored_positions_change_nothing_whatever_they_hold(
    student: Tensor, teacher: Tensor, ignore_index: int
) -> None:
    target = torch.tensor([[0, 1, 3], [4, 0, 1], [3, 3, 0], [1, 4, 4]])
    target[0, 1] = target[2, 2] = ignore_index
    counted = target != ignore_index
    broken = student.detach().masked_fill(~counted[:, None], torch.nan).requires_grad_()
    broken_teacher = teacher.masked_fill(~counted[:, None], torch.inf)
    values = dkd_loss(student, teacher, target.where(counted, 0), reduction="none")
    (whole,) = torch.autograd.grad(values[counted].mean(), student)

    mean = dkd_loss(broken, broken_teacher, target, ignore_index=ignore_index)
    (gradient,) = torch.autograd.grad(mean, broken)
    torch.testing.assert_close(mean, values[counted].mean())
    torch.testing.assert_close(gradient, whole)
    each = dkd_loss(broken, broken_teacher, target, ignore_index=ignore_index, reduction="none")
    torch.testing.assert_close(each, values * counted)


def test_mask_of_kd(student: Tensor, teacher: Tensor) -> None:
    mask = torch.tensor([[True, False, True], [True, True, True], [False, False, False], [True, True, False]])
    broken = student.detach().masked_fill(~mask[:, None], torch.nan).requires_grad_()
    values = kd_loss(student, teacher, reduction="none")
    (whole,) = torch.autograd.grad(values[mask].mean(), student)
    mean = kd_loss(broken, teacher, mask=mask)
    (gradient,) = torch.autograd.grad(mean, broken)
    torch.testing.assert_close(mean, values[mask].mean())
    torch.testing.assert_close(gradient, whole)
    torch.testing.assert_close(kd_loss(broken, teacher, mask=mask, reduction="none"), values * mask)
    torch.testing.assert_close(kd_loss(broken, teacher, mask=mask, reduction="sum"), values[mask].sum())


def test_nothing_that_counts_gives_a_differentiable_zero(student: Tensor, teacher: Tensor) -> None:
    empty = torch.zeros(0, 5, requires_grad=True)
    for loss, at in (
        (dkd_loss(student, teacher, torch.full((4, 3), -100)), student),
        (kd_loss(student, teacher, mask=torch.zeros(4, 3, dtype=torch.bool)), student),
        (dkd_loss(empty, empty, torch.zeros(0, dtype=torch.long)), empty),
        (dkd_loss(empty, empty, torch.zeros(0, 5)), empty),
        (dkd_loss(empty, empty, None), empty),
        (kd_loss(empty, empty), empty),
    ):
        assert loss == 0
        (gradient,) = torch.autograd.grad(loss, at)
        assert (gradient == 0).all()
    assert dkd_loss(empty, empty, None, reduction="none").shape == (0,)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("network", ["student", "teacher"])
def test_a_nan_or_infinity_that_counts_is_not_hidden(
    student: Tensor, teacher: Tensor, target: Tensor, bad: float, network: str
) -> None:
    for k in range(5):
        logits = {"student": student.detach().clone(), "teacher": teacher.clone()}
        logits[network][1, k, 2] = bad
        for y in (target, torch.full((4, 5, 3), 0.2), None):
            terms = dkd_terms(logits["student"], logits["teacher"], y, reduction="none")
            # An infinity may leave one half of the loss as it is (a target of -inf says nothing about the others).
            both = terms.tckd + terms.nckd
            assert both[1, 2].isnan() if math.isnan(bad) else not both[1, 2].isfinite()
            both[1, 2] = 0
            assert both.isfinite().all()
        assert not kd_loss(logits["student"], logits["teacher"]).isfinite()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32])
def test_any_integer_type_serves_as_class_index(
    student: Tensor, teacher: Tensor, target: Tensor, dtype: torch.dtype
) -> None:
    assert dkd_loss(student, teacher, target.to(dtype)) == dkd_loss(student, teacher, target)


def test_autocast_changes_nothing(student: Tensor, teacher: Tensor, target: Tensor) -> None:
    soft = torch.full((4, 5, 3), 0.2)
    for y in (target, soft, None):
        plain = dkd_loss(student, teacher, y) + kd_loss(student, teacher)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            cast = dkd_loss(student, teacher, y) + kd_loss(student, teacher)
        assert cast.dtype == torch.float32
        assert torch.equal(cast, plain)


def test_teacher_and_target_may_come_from_inference_mode(student: Tensor, teacher: Tensor, target: Tensor) -> None:
    with torch.inference_mode():
        frozen, labels, soft = teacher.clone(), target.clone(), torch.full((4, 5, 3), 0.2)
    temperature = torch.tensor(4.0, requires_grad=True)
    loss = kd_loss(student, frozen, temperature=temperature)
    for y in (labels, soft, None):
        loss = loss + dkd_loss(student, frozen, y, temperature=temperature)
    (gradient,) = torch.autograd.grad(loss, student)
    assert gradient.isfinite().all()


def test_inputs_are_left_as_they_were(student: Tensor, teacher: Tensor, target: Tensor) -> None:
    target[0, 0] = -100
    before = student.detach().clone(), teacher.clone(), target.clone()
    dkd_loss(student, teacher, target)
    dkd_loss(student, teacher, torch.full((4, 5, 3), 0.2))
    kd_loss(student, teacher, mask=target >= 0)
    assert all(torch.equal(a, b) for a, b in zip(before, (student, teacher, target), strict=True))


LOGITS = torch.zeros(4, 5)
LABELS = torch.zeros(4, dtype=torch.long)
UNIFORM = torch.full((4, 5), 0.2)


@pytest.mark.parametrize(
    ("student", "teacher", "options", "error", "message"),
    [
        (LOGITS.tolist(), LOGITS, {}, TypeError, "student must be a tensor of logits, got list"),
        (LOGITS, LOGITS.long(), {}, TypeError, r"teacher must hold floating-point logits, got torch\.int64"),
        (LOGITS, torch.zeros(3, 5), {}, ValueError, r"same shape, got \(4, 5\) and \(3, 5\)"),
        (LOGITS, torch.zeros(4, 6), {}, ValueError, "the student has 5 classes and the teacher 6"),
        (LOGITS[0], LOGITS[0], {}, ValueError, r"must be \(N, C\) or .*, got \(5,\)"),
        (LOGITS[:, :1], LOGITS[:, :1], {}, ValueError, r"at least 2 classes .* got logits \(4, 1\)"),
        (LOGITS, LOGITS, {"temperature": 0.0}, ValueError, r"positive and finite, got 0\.0"),
        (LOGITS, LOGITS, {"temperature": -1}, ValueError, "positive and finite, got -1"),
        (LOGITS, LOGITS, {"temperature": torch.nan}, ValueError, "positive and finite, got nan"),
        (LOGITS, LOGITS, {"temperature": torch.inf}, ValueError, "positive and finite, got inf"),
        (LOGITS, LOGITS, {"temperature": "4"}, TypeError, "float or a tensor, got str"),
        (LOGITS, LOGITS, {"temperature": True}, TypeError, "float or a tensor, got bool"),
        (LOGITS, LOGITS, {"temperature": torch.tensor([1.0, 2.0, -3.0, 4.0])}, ValueError, r"positive.*; got -3\.0"),
        (LOGITS, LOGITS, {"temperature": torch.tensor(torch.inf)}, ValueError, "positive and finite; got inf"),
        (LOGITS, LOGITS, {"temperature": torch.ones(3)}, ValueError, r"positions \(4,\), got \(3,\)"),
        (LOGITS, LOGITS, {"temperature": torch.ones(4, 5)}, ValueError, r"positions \(4,\), got \(4, 5\)"),
        (LOGITS, LOGITS, {"temperature": torch.ones(1, 1)}, ValueError, r"positions \(4,\), got \(1, 1\)"),
        (LOGITS, LOGITS, {"reduction": "average"}, ValueError, "one of mean, sum, none, got 'average'"),
    ],
)
def test_wrong_logits_and_options_are_refused_by_every_loss(
    student: Any, teacher: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        kd_loss(student, teacher, **options)
    with pytest.raises(error, match=message):
        dkd_loss(student, teacher, LABELS, **options)
    with pytest.raises(error, match=message):
        dkd_terms(student, teacher, UNIFORM, **options)


@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        (LABELS + 5, ValueError, r"class indices from 0 to 4, or ignore_index \(-100\); got 5"),
        (torch.tensor([0, 1, -1, 2]), ValueError, "class indices from 0 to 4.*; got -1"),
        (LABELS[:3], ValueError, r"logits \(4, 5\) must have shape \(4,\), got \(3,\)"),
        (LABELS[:, None], ValueError, r"must have shape \(4,\), got \(4, 1\)"),
        (torch.zeros(4, 5, dtype=torch.long), ValueError, "probabilities have the shape of the logits and a floating"),
        (LABELS.float(), ValueError, r"shape of the logits \(4, 5\), got \(4,\); class indices have an integer dtype"),
        (UNIFORM * 2, ValueError, r"must sum to 1 .*; got 2\.0"),
        (torch.tensor([[1.2, -0.2, 0.0, 0.0, 0.0]] * 4), ValueError, r"must be at least 0; got -0\.2"),
        (UNIFORM * torch.nan, ValueError, "must be at least 0; got nan"),
        (LABELS.bool(), TypeError, r"class indices or probabilities, got torch\.bool"),
        (LABELS.to(torch.complex64), TypeError, r"class indices or probabilities, got torch\.complex64"),
        ([0, 0, 0, 0], TypeError, "class indices or probabilities, got list"),
    ],
)
def test_wrong_targets_are_refused(target: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        dkd_loss(LOGITS, LOGITS, target)
    with pytest.raises(error, match=message):
        dkd_terms(LOGITS, LOGITS, target)


def test_probabilities_rounded_to_half_types_are_still_probabilities() -> None:
    torch.manual_seed(0)
    soft = torch.randn(50, 1000).softmax(1).bfloat16()
    assert dkd_loss(torch.zeros(50, 1000), torch.randn(50, 1000), soft).isfinite()


@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        (torch.ones(4), TypeError, r"mask must be a boolean tensor.*got torch\.float32"),
        ([True] * 4, TypeError, "mask must be a boolean tensor.*got list"),
        (torch.ones(4, 5, dtype=torch.bool), ValueError, r"logits \(4, 5\) must have shape \(4,\), got \(4, 5\)"),
    ],
)
def test_wrong_masks_are_refused(mask: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        kd_loss(LOGITS, LOGITS, mask=mask)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_checks_do_not_synchronise_on_cuda() -> None:
    logits = torch.randn(4, 5, device="cuda", requires_grad=True)
    temperature = torch.full((4,), 4.0, device="cuda")
    labels = torch.arange(4, device="cuda")
    soft = torch.full((4, 5), 0.2, device="cuda")
    torch.cuda.set_sync_debug_mode("error")
    try:
        for target in (labels, soft, None):
            torch.autograd.grad(dkd_loss(logits, logits.detach(), target, temperature=temperature), logits)
        torch.autograd.grad(kd_loss(logits, logits.detach(), mask=labels > 1), logits)
    finally:
        torch.cuda.set_sync_debug_mode("default")
