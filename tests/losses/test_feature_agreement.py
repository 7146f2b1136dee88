"""The losses of features are the papers' equations: value and gradient against loops, and in every type."""

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from losses.feature_cases import CASES

every_case = pytest.mark.parametrize("name", CASES)


def value_and_gradient(value: Tensor, students: list[Tensor]) -> tuple[Tensor, ...]:
    return value, *torch.autograd.grad(value, students)


@every_case
def test_value_and_gradient_are_those_of_the_loops(name: str) -> None:
    case = CASES[name]
    students, teachers = case.features()
    ours = value_and_gradient(case.loss(students, teachers), students)
    theirs = value_and_gradient(case.reference(students, teachers), students)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


@every_case
def test_the_gradient_is_the_derivative(name: str) -> None:
    case = CASES[name]
    students, teachers = case.features()
    assert gradcheck(lambda *inputs: case.loss(inputs, teachers), students)


@every_case
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_half_types_are_worked_in_float32(name: str, dtype: torch.dtype) -> None:
    case = CASES[name]
    students, teachers = case.features(dtype)
    value = case.loss(students, teachers)
    assert value.dtype == torch.float32
    gradients = torch.autograd.grad(value, students)
    assert all(gradient.dtype == dtype for gradient in gradients)
    exact = [student.detach().double().requires_grad_() for student in students]
    expected = case.loss(exact, [teacher.double() for teacher in teachers])
    torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=1e-6)
    accuracy = {torch.float16: 2e-3, torch.bfloat16: 2e-2, torch.float32: 1e-4}[dtype]
    for gradient, true in zip(gradients, torch.autograd.grad(expected, exact), strict=True):
        assert (gradient.double() - true).norm() <= accuracy * true.norm()


@every_case
def test_autocast_changes_nothing(name: str) -> None:
    case = CASES[name]
    students, teachers = case.features(torch.float32)
    plain = value_and_gradient(case.loss(students, teachers), students)
    with torch.autocast("cpu", torch.bfloat16):
        within = case.loss(students, teachers)
    assert within.dtype == torch.float32
    torch.testing.assert_close(value_and_gradient(within, students), plain, rtol=0, atol=0)


@every_case
def test_a_teacher_that_could_learn_gets_no_gradient(name: str) -> None:
    case = CASES[name]
    students, teachers = case.features()
    for teacher in teachers:
        teacher.requires_grad_()
    case.loss(students, teachers).backward()
    assert all(teacher.grad is None for teacher in teachers)
    assert all(student.grad is not None and student.grad.abs().sum() > 0 for student in students)


@every_case
def test_one_graph_and_the_same_numbers_when_compiled(name: str) -> None:
    case = CASES[name]
    students, teachers = case.features(torch.float32)
    torch.compiler.reset()
    compiled = torch.compile(case.loss, fullgraph=True, backend="aot_eager")
    ours = value_and_gradient(compiled(students, teachers), students)
    torch.testing.assert_close(ours, value_and_gradient(case.loss(students, teachers), students))
