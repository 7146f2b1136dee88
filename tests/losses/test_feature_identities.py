"""What the equations on features imply: known values, invariances, and behaviour where a formula has a hole."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from decant.losses import (
    at_loss,
    hcl_loss,
    kdsvd_loss,
    nce_loss,
    nd_loss,
    nst_loss,
    ofd_loss,
    pkt_loss,
    rkd_loss,
    sp_loss,
    vid_loss,
)
from losses.feature_cases import CASES, Case

COPIES = ["at", "nst", "nst, many channels", "kdsvd", "hcl", "pkt", "rkd", "sp"]


def normal(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(len(shape))
    return torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_of_the_teacher_has_no_loss_and_no_gradient(name: str) -> None:
    case: Case = CASES[name]
    _, teachers = case.features()
    students = [teacher.clone().requires_grad_() for teacher in teachers]
    value = case.loss(students, teachers)
    assert value.item() == pytest.approx(0.0, abs=1e-15)
    for gradient in torch.autograd.grad(value, students):
        # PKT's constant inside the logarithm moves its minimum by that little.
        assert gradient.abs().max() < (1e-8 if name == "pkt" else 1e-14)


@pytest.mark.parametrize("name", [*COPIES, "ofd"])
def test_any_other_student_has_a_loss(name: str) -> None:
    students, teachers = CASES[name].features()
    assert CASES[name].loss(students, teachers) > 1e-6


def test_a_partial_distance_is_zero_for_a_copy_even_of_what_the_margin_raises() -> None:
    teacher = normal(2, 3, 4, 4)
    assert ofd_loss(teacher, teacher, torch.full((3,), -0.5)) == 0


def test_a_feature_is_told_its_direction_always_and_its_length_only_up_to_the_teachers() -> None:
    direction, across, teacher = torch.tensor([[[0.6, 0.8]], [[-0.8, 0.6]], [[0.0, 2.0]]], dtype=torch.float64)
    for length, expected in ((0.0, 1.0), (0.5, 0.75), (2.0, 0.0), (50.0, 0.0), (-1.0, 1.5), (-7.0, 2.0)):
        student = (length * direction).requires_grad_()
        value = nd_loss(student, teacher, direction)
        assert value.item() == pytest.approx(expected)
        (gradient,) = torch.autograd.grad(value, student)
        grows = (gradient * direction).sum().item()
        assert grows == pytest.approx(-0.5 if abs(length) < 2 else 0.0 if length != 2 else -0.25)
    turned = nd_loss(3 * (direction + across), teacher, direction)
    assert turned.item() == pytest.approx(1 - math.sqrt(0.5))


def test_mixed_directions_give_the_expected_loss() -> None:
    student, teacher, directions = normal(3, 4), normal(3, 4) ** 2, torch.eye(4).double()
    losses = [nd_loss(student, teacher, directions[c].expand(3, 4)) for c in (1, 2)]
    mixed = 0.3 * directions[1] + 0.7 * directions[2]
    expected = 0.3 * losses[0] + 0.7 * losses[1]
    torch.testing.assert_close(nd_loss(student, teacher, mixed.expand(3, 4)), expected)


@pytest.mark.parametrize("name", ["at", "nst", "sp", "pkt", "rkd"])
def test_the_size_of_a_feature_says_nothing(name: str) -> None:
    students, teachers = CASES[name].features()
    larger = [3.0 * student for student in students]
    torch.testing.assert_close(
        CASES[name].loss(larger, teachers), CASES[name].loss(students, teachers), rtol=1e-5, atol=1e-8
    )


def test_relations_do_not_see_where_the_origin_lies_or_how_features_are_turned() -> None:
    student, teacher = normal(5, 3), normal(5, 2)
    turn, _ = torch.linalg.qr(normal(3, 3))
    torch.testing.assert_close(rkd_loss(student @ turn + 7.0, teacher), rkd_loss(student, teacher))
    torch.testing.assert_close(sp_loss(student @ turn, teacher), sp_loss(student, teacher))
    torch.testing.assert_close(pkt_loss(student @ turn, teacher), pkt_loss(student, teacher))


def test_attention_and_selectivity_do_not_see_the_order_of_channels() -> None:
    (student, *_), (teacher, *_) = CASES["at"].features()
    for loss in (at_loss, nst_loss):
        torch.testing.assert_close(loss([student.flip(1)], [teacher]), loss([student], [teacher]))


def test_attention_on_opposite_corners_is_as_far_apart_as_it_can_be() -> None:
    student, teacher = torch.zeros(2, 1, 1, 3, 3).double()
    student[..., 0, 0], teacher[..., 2, 2] = -4.0, 0.1
    assert at_loss([student], [teacher]).item() == pytest.approx(2 / 9)


def test_channels_that_share_no_place_are_as_far_apart_as_they_can_be() -> None:
    student, teacher = torch.zeros(2, 1, 1, 3, 3).double()
    student[..., 0, 0], teacher[..., 2, 2] = -4.0, 0.1
    assert nst_loss([student], [teacher]).item() == pytest.approx(2.0)


def test_both_ways_to_selectivity_agree() -> None:
    student, teacher = normal(2, 5, 2, 2), normal(2, 4, 2, 2) ** 2
    tiled = nst_loss([student], [teacher])  # 4 positions, at least 4 channels: by channels
    wide = nst_loss([student.repeat(1, 2, 1, 1)], [teacher.repeat(1, 2, 1, 1)])  # more channels: by positions
    torch.testing.assert_close(wide, tiled)


def test_a_context_without_levels_is_the_mean_square() -> None:
    student, teacher = normal(2, 3, 1, 1), normal(2, 3, 1, 1) ** 2
    torch.testing.assert_close(hcl_loss([student], [teacher]), (student - teacher).square().mean())


def test_a_constant_difference_is_the_same_on_every_level() -> None:
    student = normal(2, 3, 16, 16)
    assert hcl_loss([student], [student + 3.0]).item() == pytest.approx(9.0)


@pytest.mark.parametrize("size", [(7, 7), (6, 9), (16, 12)])
def test_levels_are_averages_of_the_map_whatever_its_size(size: tuple[int, int]) -> None:
    student, teacher = normal(2, 3, *size), normal(2, 3, *size) ** 2
    expected, weights = (student - teacher).square().mean(), 1.0
    for step, level in enumerate((4, 2, 1), start=1):
        pooled = torch.nn.functional.adaptive_avg_pool2d(student - teacher, level)
        expected, weights = expected + pooled.square().mean() / 2**step, weights + 0.5**step
    torch.testing.assert_close(hcl_loss([student], [teacher]), expected / weights)


def test_two_samples_have_one_distance_and_no_triangle() -> None:
    assert rkd_loss(normal(2, 3), 5 * normal(2, 4)).item() == pytest.approx(0.0, abs=1e-15)
    assert rkd_loss(normal(1, 3), normal(1, 4)).item() == 0


def test_a_right_angle_against_a_straight_line() -> None:
    student = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    teacher = torch.tensor([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)
    # At the first point cosine 0 against -1, at the others 1/sqrt(2) against 1; each occurs for (j, k) and (k, j).
    huber = [0.5 * gap**2 for gap in (1.0, 1 - math.sqrt(0.5), 1 - math.sqrt(0.5))]
    assert rkd_loss(student, teacher, 0.0, 1.0).item() == pytest.approx(2 * sum(huber) / 27)


def test_the_likelihood_is_best_at_the_true_variance() -> None:
    teacher = normal(1, 1, 64, 64)
    scale = torch.tensor([teacher.square().mean().expm1().log()], requires_grad=True)
    value = vid_loss(torch.zeros_like(teacher), scale, teacher, eps=0.0)
    (slope,) = torch.autograd.grad(value, scale)
    assert slope.item() == pytest.approx(0.0, abs=1e-12)
    expected = torch.distributions.Normal(0.0, teacher.square().mean().sqrt()).log_prob(teacher)
    assert value.item() == pytest.approx(-expected.mean().item() - 0.5 * math.log(2 * math.pi))


def test_a_contrast_is_a_row_of_binary_cross_entropies() -> None:
    positive, negatives = normal(4), normal(4, 6)
    noise = math.log(6 / 9)
    certain = torch.nn.functional.binary_cross_entropy_with_logits(positive - noise, torch.ones_like(positive))
    strangers = torch.nn.functional.binary_cross_entropy_with_logits(negatives - noise, torch.zeros_like(negatives))
    torch.testing.assert_close(nce_loss(positive, negatives, 9, eps=0.0), certain + 6 * strangers)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_contrast_stays_finite_for_certain_networks(sign: float) -> None:
    positive = torch.tensor([sign * 1e4], requires_grad=True)
    negatives = torch.tensor([[-sign * 1e4]], requires_grad=True)
    value = nce_loss(positive, negatives, 2)
    gradients = torch.autograd.grad(value, [positive, negatives])
    assert value.isfinite()
    assert all(gradient.isfinite().all() for gradient in gradients)


DEAD = ["at", "nst", "nst, many channels", "kdsvd", "hcl", "pkt", "rkd", "sp", "ofd", "nd"]


@pytest.mark.parametrize("name", DEAD)
@pytest.mark.parametrize("value", [0.0, 1.0], ids=["all zero", "all equal"])
@pytest.mark.parametrize("dead", ["student", "teacher", "both"])
def test_dead_features_have_a_finite_loss_and_a_gradient_of_ordinary_size(name: str, value: float, dead: str) -> None:
    students, teachers = CASES[name].features(torch.float32)
    if dead != "teacher":
        students = [torch.full_like(student, value).requires_grad_() for student in students]
    if dead != "student":
        teachers = [torch.full_like(teacher, value) for teacher in teachers]
    loss = CASES[name].loss(students, teachers)
    assert loss.isfinite()
    for gradient in torch.autograd.grad(loss, students):
        # The one constant that a formula itself divides by is PKT's, 1e-7.
        assert gradient.abs().max() < (1e7 if name == "pkt" else 1e3)


@pytest.mark.parametrize("loss", [sp_loss, rkd_loss], ids=["sp", "rkd"])
def test_some_dead_samples_do_not_rule_the_gradient(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    student = normal(4, 3)
    student[:2] = 0.0
    (gradient,) = torch.autograd.grad(loss(student.requires_grad_(), normal(4, 5)), student)
    assert gradient.abs().max() < 1e3


def test_a_pattern_that_rules_all_others_costs_no_accuracy() -> None:
    student, teacher = (100.0 + normal(2, 3, 8, 8)).float(), (100.0 + normal(2, 4, 8, 8)).float()
    value = kdsvd_loss([student, student.mT], [teacher, teacher.mT], k=2)
    exact = kdsvd_loss([student.double(), student.mT.double()], [teacher.double(), teacher.mT.double()], k=2)
    assert value.item() == pytest.approx(exact.item(), rel=1e-5)


def test_repeated_singular_values_are_no_trouble() -> None:
    student = torch.eye(4).expand(2, 1, 4, 4).contiguous().requires_grad_()
    teacher = normal(2, 3, 4, 4).float()
    value = kdsvd_loss([student, student], [teacher, teacher.abs()])
    (gradient,) = torch.autograd.grad(value, student)
    assert value.isfinite()
    assert gradient.isfinite().all()


def test_what_is_not_finite_is_not_hidden() -> None:
    for name in DEAD:
        students, teachers = CASES[name].features(torch.float32)
        broken = [students[0].detach().clone(), *students[1:]]
        broken[0][0, 0] = torch.nan
        assert CASES[name].loss(broken, teachers).isnan(), name


def test_a_singular_vector_turned_around_is_the_same_vector() -> None:
    (first, second), (teacher_first, teacher_second) = CASES["kdsvd"].features()
    plain = kdsvd_loss([first, second], [teacher_first, teacher_second])
    torch.testing.assert_close(kdsvd_loss([-first, second], [teacher_first, -teacher_second]), plain)
