"""The losses on logits published after DKD: the papers' equations, finite for any networks, in every type."""

import inspect
from typing import Any

import pytest
import torch
from torch.autograd import gradcheck
from torch.nn import functional as F

from decant import losses
from losses.logit_cases import CASES, C, N, logits, value_and_gradient

every_case = pytest.mark.parametrize("name", CASES)
BY_BATCH = [name for name, case in CASES.items() if case.batch]
BY_POSITION = [name for name, case in CASES.items() if not case.batch]
LABELLED = [name for name, case in CASES.items() if case.label]
MASKED = [name for name in BY_POSITION if not name.startswith("crld")]  # which has its own mask, see its identities


@every_case
@pytest.mark.parametrize("scale", [0.01, 2.0, 10.0])
def test_value_and_gradient_are_those_of_the_loops(name: str, scale: float) -> None:
    case = CASES[name]
    student, teacher, target = logits(scale=scale)
    ours = value_and_gradient(case.loss(student, teacher, target), student)
    theirs = value_and_gradient(case.reference(student, teacher, target), student)
    torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", BY_POSITION)
def test_any_number_of_dimensions_behind_the_classes(name: str) -> None:
    case = CASES[name]
    student, teacher, target = logits(behind=(2, 3))
    values = case.loss(student, teacher, target)
    assert values.shape == (N, 2, 3)
    torch.testing.assert_close(values, case.reference(student, teacher, target), rtol=1e-9, atol=1e-9)


@every_case
def test_the_gradient_is_the_derivative(name: str) -> None:
    case = CASES[name]
    student, teacher, target = logits()
    assert gradcheck(lambda s: case.loss(s, teacher, target), student)


@every_case
@pytest.mark.parametrize("scale", [0.1, 2.0, 40.0])
def test_float32_is_as_good_as_its_digits(name: str, scale: float) -> None:
    case = CASES[name]
    student, teacher, target = logits(torch.float32, scale)
    value, gradient = value_and_gradient(case.loss(student, teacher, target), student)
    exact = student.detach().double().requires_grad_()
    expected, truth = value_and_gradient(case.loss(exact, teacher.double(), target), exact)
    assert value.dtype == torch.float32
    assert ((value - expected).abs() <= 1e-6 * (expected + case.weights)).all()
    assert (gradient - truth).abs().max() <= 2e-5 * truth.abs().max() + 1e-6 * case.weights / N


@every_case
@pytest.mark.parametrize("scale", [1e2, 1e4])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_networks_may_be_as_sure_as_they_like(name: str, scale: float, dtype: torch.dtype) -> None:
    case = CASES[name]
    for student, teacher, target in (logits(dtype, scale), logits(dtype, 0.0)):
        value, gradient = value_and_gradient(case.loss(student, teacher, target), student)
        assert value.isfinite().all()
        assert gradient.isfinite().all()


@every_case
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types_are_worked_in_float32(name: str, dtype: torch.dtype) -> None:
    case = CASES[name]
    student, teacher, target = logits(dtype)
    value, gradient = value_and_gradient(case.loss(student, teacher, target), student)
    assert (value.dtype, gradient.dtype) == (torch.float32, dtype)
    single = student.detach().float().requires_grad_()
    expected, truth = value_and_gradient(case.loss(single, teacher.float(), target), single)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(gradient, truth.to(dtype))
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(case.loss(single, teacher.float(), target), expected, rtol=0, atol=0)


@every_case
def test_only_the_student_learns(name: str) -> None:
    case = CASES[name]
    student, teacher, target = logits()
    teacher.requires_grad_()
    torch.autograd.backward(case.loss(student, teacher, target).mean())
    assert student.grad is not None
    assert student.grad.abs().max() > 0
    assert teacher.grad is None
    assert case.loss(student.float(), teacher, target).dtype == torch.float64


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.copy])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_a_copy_of_the_teacher_has_nothing_to_learn(name: str, scale: float) -> None:
    case = CASES[name]
    _, teacher, _ = logits(torch.float32, scale)
    student = teacher.clone().requires_grad_()
    value, gradient = value_and_gradient(case.loss(student, teacher, teacher.argmax(dim=1)), student)
    assert (value == 0).all()
    assert gradient.abs().max() <= 1e-6 * case.weights


@every_case
def test_the_same_shift_of_all_classes_changes_nothing(name: str) -> None:
    case = CASES[name]
    student, teacher, target = logits()
    shifted = case.loss(student + 100.0, teacher - 50.0, target)
    torch.testing.assert_close(shifted, case.loss(student, teacher, target), rtol=1e-9, atol=1e-9)


@every_case
def test_wrong_logits_get_a_message(name: str) -> None:
    case = CASES[name]
    student, teacher, target = logits()
    with pytest.raises(ValueError, match="the student has 6 classes and the teacher 5"):
        case.loss(student, teacher[:, :5], target)
    with pytest.raises(TypeError, match=r"teacher must hold floating-point logits, got torch\.int64"):
        case.loss(student, teacher.long(), target)


@pytest.mark.parametrize("name", BY_BATCH)
def test_losses_of_a_batch_take_nothing_else(name: str) -> None:
    case = CASES[name]
    for behind, samples in ((2,), N), ((), 0):
        student, teacher, target = logits(behind=behind)
        with pytest.raises(ValueError, match=r"compares the samples of a batch, so logits must be \(N, C\) .* got \("):
            case.loss(student[:samples], teacher[:samples], target[:samples])


@pytest.mark.parametrize("name", BY_BATCH)
def test_a_single_sample_is_no_harm(name: str) -> None:
    student, teacher, target = logits()
    value, gradient = value_and_gradient(CASES[name].loss(student[:1], teacher[:1], target[:1]), student)
    assert value.isfinite().all()
    assert gradient.isfinite().all()


@pytest.mark.parametrize("loss", ["dist", "nkd", "luminet", "rld", "gdkd"])
def test_a_temperature_is_positive(loss: str) -> None:
    function = getattr(losses, f"{loss}_loss")
    student, teacher, target = logits()
    inputs = (student, teacher, target) if "target" in inspect.signature(function).parameters else (student, teacher)
    for name in inspect.signature(function).parameters:
        if name.endswith("temperature"):
            with pytest.raises(ValueError, match="temperature must be positive and finite, got 0"):
                function(*inputs, **{name: 0.0})


@pytest.mark.parametrize("name", LABELLED)
def test_a_target_is_one_class_or_the_teacher_s_choice(name: str) -> None:
    case = CASES[name]
    student, teacher, target = logits()
    nothing: Any = None
    assert (case.loss(student, teacher, nothing) == case.loss(student, teacher, teacher.argmax(dim=1))).all()
    with pytest.raises(TypeError, match=r"got torch\.float32; the loss is about one class per position"):
        case.loss(student, teacher, F.one_hot(target, C).float())
    with pytest.raises(ValueError, match="target must hold class indices from 0 to 5"):
        case.loss(student, teacher, target + C)


@pytest.mark.parametrize("name", MASKED)
def test_what_does_not_count_changes_nothing_whatever_it_holds(name: str) -> None:
    loss = getattr(losses, f"{name.partition(',')[0]}_loss")
    accepted = inspect.signature(loss).parameters
    student, teacher, target = logits()
    kept = torch.tensor([True, False, True, True])
    with torch.no_grad():
        student[1], teacher[1] = torch.nan, torch.inf
    if "mask" in accepted:
        whole, part = loss(student, teacher, mask=kept), loss(student[kept], teacher[kept])
        none = loss(student, teacher, mask=~kept & kept)
    else:
        whole = loss(student, teacher, target.where(kept, -100))
        part = loss(student[kept], teacher[kept], target[kept])
        none = loss(student, teacher, torch.full((N,), -100))
    torch.testing.assert_close(whole, part)
    assert none == 0
    (gradient,) = torch.autograd.grad(whole + none, student)
    assert gradient.isfinite().all()
    assert (gradient[1] == 0).all()


@pytest.mark.parametrize("name", [name for name in CASES if "," not in name])
def test_one_graph_and_the_same_numbers_when_compiled(name: str) -> None:
    case = CASES[name]
    torch.compiler.reset()
    student, teacher, target = logits(torch.float32)
    compiled = torch.compile(case.loss, fullgraph=True, backend="aot_eager")
    ours = value_and_gradient(compiled(student, teacher, target), student)
    torch.testing.assert_close(ours, value_and_gradient(case.loss(student, teacher, target), student))
