"""The losses on logits published after DKD: the papers' equations, finite for any networks, in every type."""

import inspect
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.nn import functional as F

import logit_references
from decant import losses
from losses.logit_cases import CASES, C, N, logits

every_case = pytest.mark.parametrize("name", CASES)
BY_BATCH = [name for name, case in CASES.items() if case.batch]
BY_POSITION = [name for name, case in CASES.items() if not case.batch]
LABELLED = [name for name, case in CASES.items() if case.label]


def value_and_gradient(value: Tensor, student: Tensor) -> tuple[Tensor, Tensor]:
    (gradient,) = torch.autograd.grad(value.mean(), student)
    return value, gradient


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


@pytest.mark.parametrize("loss", sorted({name.partition(",")[0] for name in CASES}))
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


@every_case
def test_what_does_not_count_changes_nothing_whatever_it_holds(name: str) -> None:
    loss = getattr(losses, f"{name.partition(',')[0]}_loss")
    accepted = inspect.signature(loss).parameters
    if "reduction" not in accepted or CASES[name].batch:
        return
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


def test_nkd_of_two_classes_is_about_the_target_alone() -> None:
    student, teacher, target = logits()
    terms = losses.nkd_terms(student[:, :2], teacher[:, :2], target % 2, reduction="none")
    assert (terms.others == 0).all()
    assert (terms.target > 0).all()


def test_ttm_with_gamma_1_is_classical_and_its_weight_is_between_a_sure_teacher_s_and_an_ignorant_one_s() -> None:
    student, teacher, _ = logits()
    torch.testing.assert_close(
        losses.ttm_loss(student, teacher, gamma=1.0), losses.kd_loss(student, teacher, temperature=1.0)
    )
    for teaches, weight in (torch.eye(C)[:N] * 1e4, 1.0), (torch.zeros(N, C), C**0.75):
        plain, weighted = (losses.ttm_loss(student, teaches, gamma=0.25, weighted=flag) for flag in (False, True))
        torch.testing.assert_close(weighted, weight * plain)
    with pytest.raises(ValueError, match="gamma must be positive and finite, got 0"):
        losses.ttm_loss(student, teacher, gamma=0.0)
    with pytest.raises(TypeError, match="gamma must be a number, got bool"):
        losses.ttm_loss(student, teacher, gamma=True)


def test_where_the_teacher_is_right_rld_is_dkd_with_two_temperatures() -> None:
    student, teacher, _ = logits()
    target = teacher.argmax(dim=1)
    ours = losses.rld_terms(student, teacher, target, temperature=3.0, confidence_temperature=2.0)
    torch.testing.assert_close(ours.confidence, losses.dkd_terms(student, teacher, target, temperature=2.0).tckd)
    torch.testing.assert_close(ours.correlation, losses.dkd_terms(student, teacher, target, temperature=3.0).nckd)


def test_rld_leaves_out_what_the_teacher_puts_before_the_target_or_level_with_it() -> None:
    teacher = torch.tensor([[3.0, 2.0, 2.0, 1.0, 0.0], [3.0, 2.0, 1.0, 1.0, -1.0], [0.0, 2.0, 2.0, 1.0, 5.0]])
    student = torch.randn(3, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    target = torch.tensor([1, 4, 0])  # second, and twice last: nothing is below
    correlation = losses.rld_terms(student, teacher, target, reduction="none").correlation
    assert correlation[0] > 0
    assert (correlation[1:] == 0).all()
    (gradient,) = torch.autograd.grad(correlation.sum(), student)
    assert (gradient[0, :3] == 0).all()
    assert (gradient[0, 3:] != 0).all()
    assert (gradient[1:] == 0).all()


def test_gdkd_with_the_teacher_s_own_weights_is_classical() -> None:
    student, teacher, _ = logits()
    for k in range(1, C):
        terms = losses.gdkd_terms(student, teacher, k=k, temperature=3.0, reduction="none")
        share = (teacher / 3.0).softmax(dim=1).sort(dim=1, descending=True).values[:, :k].sum(dim=1)
        together = terms.buckets + share * terms.top + (1 - share) * terms.rest
        torch.testing.assert_close(together, losses.kd_loss(student, teacher, temperature=3.0, reduction="none"))


def test_gdkd_of_one_class_is_dkd_without_a_label() -> None:
    student, teacher, _ = logits()
    buckets, top, rest = losses.gdkd_terms(student, teacher, k=1)
    torch.testing.assert_close((buckets, rest), tuple(losses.dkd_terms(student, teacher, None)))
    assert top == 0
    for k in (0, C):
        with pytest.raises(ValueError, match=f"from 1 to 5 for logits .4, 6., got {k}"):
            losses.gdkd_loss(student, teacher, k=k)
    whole: Any = 2.0
    with pytest.raises(TypeError, match=r"k must be a whole number of classes, got 2\.0"):
        losses.gdkd_loss(student, teacher, k=whole)


def test_standardised_logits_are_those_of_the_loop() -> None:
    student, _, _ = logits()
    ours = value_and_gradient(losses.standardise_logits(student)[:, 0], student)
    theirs = value_and_gradient(logit_references.standardised(student)[:, 0], student)
    torch.testing.assert_close(ours, theirs)
    assert gradcheck(losses.standardise_logits, student)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_standardised_logits_of_any_size_are_finite(dtype: torch.dtype) -> None:
    for scale, offset in (1e4, 0.0), (0.0, 3.0):
        given = (logits(dtype, scale)[0] + offset).detach().requires_grad_()
        found = losses.standardise_logits(given)
        assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        (gradient,) = torch.autograd.grad(found[:, 0].sum(), given)
        assert gradient.isfinite().all()
        if scale:
            torch.testing.assert_close(found.std(dim=1), torch.ones(N, dtype=found.dtype))
        else:
            assert (found == 0).all()
    close = torch.tensor([[1e4, 1e4 + 0.125, 1e4 + 0.25]])
    torch.testing.assert_close(losses.standardise_logits(close), torch.tensor([[-1.0, 0.0, 1.0]]))


def test_standardised_logits_want_classes() -> None:
    whole: Any = torch.ones(2, 3).long()
    with pytest.raises(TypeError, match="must hold floating-point logits"):
        losses.standardise_logits(whole)
    with pytest.raises(ValueError, match="at least 2 classes in dimension 1"):
        losses.standardise_logits(torch.zeros(3, 1))


@pytest.mark.parametrize("name", ["gdkd", "rld", "nkd"])
def test_a_temperature_may_learn(name: str) -> None:
    student, teacher, target = logits(behind=(2,))
    function = getattr(losses, f"{name}_loss")
    inputs = (student, teacher) if name == "gdkd" else (student, teacher, target)
    for temperature in torch.tensor(2.5).double(), torch.rand(N, 2).double() + 1:
        temperature.requires_grad_()
        assert gradcheck(lambda s, t: function(s, *inputs[1:], temperature=t), (student, temperature))


def test_luminet_does_not_see_a_factor_or_a_shift_of_a_class() -> None:
    student, teacher, _ = logits(scale=50.0)
    factor, shift = torch.rand(C).double() + 0.5, torch.randn(C).double()
    torch.testing.assert_close(
        losses.luminet_loss(factor * student + shift, teacher), losses.luminet_loss(student, teacher), rtol=1e-5, atol=0
    )


def test_relations_of_dist_are_those_of_a_factor_and_a_shift() -> None:
    # Rows of the student that are a linear function of the teacher's, the same for all: no relation is lost.
    p = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3], [0.2, 0.2, 0.6]], dtype=torch.float64)
    terms = losses.dist_terms((0.5 * p + 0.5 / 3).log(), p.log(), temperature=1.0)
    torch.testing.assert_close(terms.inter, torch.zeros((), dtype=torch.float64), atol=1e-15, rtol=0)
    torch.testing.assert_close(terms.intra, torch.zeros((), dtype=torch.float64), atol=1e-15, rtol=0)
    apart = losses.dist_loss(*logits()[:2], inter_weight=3.0, intra_weight=0.5, temperature=2.0)
    inter, intra = losses.dist_terms(*logits()[:2], temperature=2.0)
    torch.testing.assert_close(apart, 3.0 * inter + 0.5 * intra)
    by_sample: Any = torch.full((N,), 4.0)
    with pytest.raises(TypeError, match="temperature must be a number here"):
        losses.dist_loss(*logits()[:2], temperature=by_sample)


def test_a_class_that_no_sample_of_the_batch_comes_near_still_counts_for_dist() -> None:
    student, teacher, _ = logits(torch.float32)
    rare = torch.zeros(N, C)
    rare[:, 0] = -300.0  # its probabilities are 0 in float32
    terms, expected = (
        losses.dist_terms(s + rare.to(s), t + rare.to(t), temperature=1.0)
        for s, t in ((student, teacher), (student.double(), teacher.double()))
    )
    torch.testing.assert_close(terms.intra.double(), expected.intra, rtol=1e-5, atol=1e-6)
    (gradient,) = torch.autograd.grad(terms.intra, student)
    assert gradient[:, 0].abs().max() > 1e-3


@pytest.mark.parametrize("name", [name for name in CASES if "," not in name])
def test_one_graph_and_the_same_numbers_when_compiled(name: str) -> None:
    case = CASES[name]
    torch.compiler.reset()
    student, teacher, target = logits(torch.float32)
    compiled = torch.compile(case.loss, fullgraph=True, backend="aot_eager")
    ours = value_and_gradient(compiled(student, teacher, target), student)
    torch.testing.assert_close(ours, value_and_gradient(case.loss(student, teacher, target), student))
