"""Losses of a weak and a strong view: what each part says by itself, and what is no pair of views."""

from typing import Any

import pytest
import torch
from torch import Tensor

from decant import losses
from losses.logit_cases import C, N, both, logits


def views() -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    student, teacher, _ = logits()
    return both(student), both(teacher)


def test_crld_without_gates_is_classical_distillation_of_all_four_pairs() -> None:
    students, teachers = views()
    open_to_all: dict[str, Any] = {"weak_confidence": 0.0, "strong_confidence": 0.0, "temperature": 3.0}
    found = losses.crld_terms(students, teachers, **open_to_all)
    kd = [[losses.kd_loss(student, teacher, temperature=3.0) for teacher in teachers] for student in students]
    torch.testing.assert_close(found.within, kd[0][0] + kd[1][1])
    torch.testing.assert_close(found.across, kd[0][1] + kd[1][0])
    whole = losses.crld_loss(students, teachers, within_weight=5.0, across_weight=7.0, **open_to_all)
    torch.testing.assert_close(whole, 5.0 * found.within + 7.0 * found.across)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_each_gate_of_crld_is_the_confidence_in_its_own_view(reduction: Any) -> None:
    students, (weak, strong) = views()
    by_view = [teacher.softmax(dim=1).amax(dim=1) for teacher in (weak, strong)]
    between = [float(confidence.sort().values[1:3].mean()) for confidence in by_view]
    found = losses.crld_terms(
        students, (weak, strong), weak_confidence=between[0], strong_confidence=between[1], reduction=reduction
    )
    for term, pairs, sure in (
        (found.within, ((0, weak), (1, strong)), by_view[0] >= between[0]),
        (found.across, ((0, strong), (1, weak)), by_view[1] >= between[1]),
    ):
        assert sure.sum() == 2
        each = sum(losses.kd_loss(students[view], teacher, reduction="none") for view, teacher in pairs) * sure
        # In the mean all samples count, also those that are left out.
        torch.testing.assert_close(term, {"mean": each.mean(), "sum": each.sum(), "none": each}[reduction])


def test_an_unsure_answer_changes_nothing_whatever_the_student_holds() -> None:
    students, teachers = views()
    with torch.no_grad():
        students[0][1] = torch.nan
        for teacher in teachers:
            teacher[1] = 0.0
    gates: dict[str, Any] = {"weak_confidence": 0.2, "strong_confidence": 0.2}  # above 1/6
    found = losses.crld_loss(students, teachers, **gates, reduction="none")
    assert found[1] == 0
    assert found[[0, 2, 3]].isfinite().all()
    (gradient,) = torch.autograd.grad(found.sum(), students[0])
    assert (gradient[1] == 0).all()


def test_a_teacher_that_is_no_number_is_heard() -> None:
    students, teachers = views()
    teachers[0][1] = torch.nan
    assert losses.crld_loss(students, teachers).isnan()


def test_a_teacher_s_copy_agrees_within_views_but_not_across() -> None:
    _, teachers = views()
    within, across = losses.crld_terms(teachers, teachers, weak_confidence=0.0)
    assert within == 0
    assert across > 0


def test_mlkd_sums_classical_distillation_over_temperatures() -> None:
    students, teachers = views()
    found = losses.mlkd_terms(students, teachers, temperatures=(1.5, 4.0))
    for term, student, teacher in zip(found, students, teachers, strict=False):
        each = [losses.kd_loss(student, teacher, temperature=t) for t in (1.5, 4.0)]
        torch.testing.assert_close(term, each[0] + each[1])
    apart = losses.mlkd_loss(
        students, teachers, weak_weight=2.0, strong_weight=3.0, class_weight=5.0, sample_weight=7.0, temperatures=[2]
    )
    weights = (2.0, 3.0, 5.0, 7.0)
    terms = losses.mlkd_terms(students, teachers, temperatures=[2])
    torch.testing.assert_close(apart, torch.stack([w * t for w, t in zip(weights, terms, strict=True)]).sum())


def test_correlations_of_mlkd_see_relations_alone() -> None:
    """Classes renamed leave the samples' relations as they are, samples exchanged those of the classes."""
    (_, strong), (teacher, _) = views()
    renamed = losses.mlkd_terms((teacher.roll(2, dims=1), strong), (teacher, strong))
    exchanged = losses.mlkd_terms((teacher.roll(1, dims=0), strong), (teacher, strong))
    tiny = torch.tensor(1e-20, dtype=torch.float64)
    assert renamed.samples < tiny < renamed.classes
    assert exchanged.classes < tiny < exchanged.samples
    assert renamed.strong == 0 < renamed.weak


def test_correlations_of_sure_networks_are_known() -> None:
    # Four samples of four classes against four of one: Q'Q and QQ' are the unit matrix, P'P has one 16, PP' is all 1.
    sure = 1e4 * torch.eye(C)[:N]
    one = sure[:1].expand(N, C)
    terms = losses.mlkd_terms((sure, sure), (one, one), temperatures=[1.0])
    assert terms.classes.item() == pytest.approx((N - 1 + (N - 1) ** 2) / C)
    assert terms.samples.item() == pytest.approx((N * N - N) / N)


@pytest.mark.parametrize("loss", [losses.crld_loss, losses.mlkd_loss], ids=["crld", "mlkd"])
def test_what_is_no_pair_of_views_is_refused(loss: Any) -> None:
    students, teachers = views()
    with pytest.raises(
        ValueError, match=r"students must be the logits of two views .* \(weak, strong\), got one tensor"
    ):
        loss(torch.stack(students), teachers)
    with pytest.raises(ValueError, match=r"teachers must be the logits of two views .* got 1 of them"):
        loss(students, teachers[:1])
    with pytest.raises(
        ValueError, match=r"same samples, got logits \(4, 6\) of the weak and \(3, 6\) of the strong one"
    ):
        loss((students[0], students[1][:3]), (teachers[0], teachers[1][:3]))


def test_temperatures_are_positive_numbers() -> None:
    students, teachers = views()
    with pytest.raises(ValueError, match="temperature must be positive and finite, got 0"):
        losses.crld_loss(students, teachers, temperature=0.0)
    with pytest.raises(ValueError, match="temperature must be positive and finite, got -1"):
        losses.mlkd_loss(students, teachers, temperatures=(2.0, -1.0))
    with pytest.raises(ValueError, match="temperatures must be at least one number, got none"):
        losses.mlkd_loss(students, teachers, temperatures=())
    learned: Any = (torch.tensor(2.0),)
    with pytest.raises(TypeError, match="temperatures must be numbers"):
        losses.mlkd_loss(students, teachers, temperatures=learned)
