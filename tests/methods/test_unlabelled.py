"""Samples without a label: the teacher's arg-max stands in for it, but for the task's own loss."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from decant.interfaces import UNLABELLED, Batch, Method, Outputs
from decant.methods import METHODS, CTKDSettings, DKDSettings, Supervised
from decant.methods.task import hard_loss
from decant.models import Tapped
from methods.building import CLASSES, digits_context, said, settings_of

SPLIT_BY_TARGET = {
    "dkd": DKDSettings(standardise=True),
    "nckd": METHODS["nckd"](),
    "nkd": METHODS["nkd"](),
    "rld": METHODS["rld"](),
    "ctkd": CTKDSettings(base="dkd"),
    "sdd": METHODS["sdd"](),
    "nd": METHODS["nd"](),
}


def outputs(seed: int) -> Outputs:
    generator = torch.Generator().manual_seed(seed)
    return Outputs(torch.randn(8, CLASSES, generator=generator))


def batch(target: Tensor | None) -> Batch:
    return Batch((torch.zeros(8, 1),), target, torch.arange(8))


def built(name: str) -> tuple[Method, Outputs, Outputs]:
    """A method between the two smallest networks, and what both say to eight images."""
    context = digits_context()
    assert context.teacher is not None
    images = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    method = SPLIT_BY_TARGET[name].build(context)

    def said_by(network: nn.Module, paths: Mapping[str, str]) -> Outputs:
        answer: Outputs = Tapped(network, {tap: paths[tap] for tap in method.taps})(images)
        return answer

    student = said_by(context.student, context.student_taps)
    return method, student, said_by(context.teacher.eval(), context.teacher_taps)


@pytest.mark.parametrize("name", SPLIT_BY_TARGET)
def test_with_labels_hidden_that_the_teacher_agrees_with_the_terms_are_those_of_the_labelled_run(name: str) -> None:
    method, student, teacher = built(name)
    target = teacher.logits.argmax(1)
    method.prepare(said(teacher, target))
    whole = method.forward(student, teacher, batch(target))
    hidden = target.clone()
    hidden[1::2] = UNLABELLED
    partly = method.forward(student, teacher, batch(hidden))
    wrong = method.forward(student, teacher, batch((target + 1) % CLASSES))
    assert partly["hard"] == F.cross_entropy(student.logits[::2], target[::2])
    told = [term for term in whole if term not in ("hard", "temperature", "adversary")]
    for term in told:
        assert torch.equal(whole[term], partly[term]), term
    assert any(not torch.equal(whole[term], wrong[term]) for term in told), "the target takes part"


@pytest.mark.parametrize("name", ["kd", "gdkd", "dist", "ttm", "luminet"])
def test_methods_that_ask_for_no_target_do_not_notice(name: str) -> None:
    method = METHODS[name]().build(digits_context())
    student, teacher = outputs(1), outputs(2)
    target = torch.arange(8) % CLASSES
    hidden = target.clone()
    hidden[:3] = UNLABELLED
    whole, partly = (method.forward(student, teacher, batch(each)) for each in (target, hidden))
    assert whole.keys() == partly.keys()
    assert all(torch.equal(whole[term], partly[term]) for term in whole if term != "hard")
    assert partly["hard"] == F.cross_entropy(student.logits[3:], target[3:])


def test_a_batch_without_any_label_has_a_task_loss_of_nothing_with_a_gradient_of_nothing() -> None:
    logits = outputs(1).logits.requires_grad_()
    loss = hard_loss(Outputs(logits), batch(torch.full((8,), UNLABELLED)))
    assert loss.item() == 0.0
    loss.backward()
    assert logits.grad is not None
    assert torch.equal(logits.grad, torch.zeros(8, CLASSES))


def test_with_all_labels_the_task_loss_and_its_gradient_are_to_the_bit_what_they_were() -> None:
    target = torch.arange(8) % CLASSES
    ours, theirs = (outputs(1).logits.requires_grad_() for _ in range(2))
    value = hard_loss(Outputs(ours), batch(target))
    expected = F.cross_entropy(theirs, target)
    assert torch.equal(value, expected)
    value.backward()
    expected.backward()
    assert ours.grad is not None
    assert theirs.grad is not None
    assert torch.equal(ours.grad, theirs.grad)


def test_the_class_means_of_nd_are_of_labelled_samples() -> None:
    method, _, teacher = built("nd")
    target = torch.arange(8) % 2
    method.prepare(said(teacher, target.where(torch.arange(8) < 5, UNLABELLED)))
    expected = torch.stack([teacher.taps["pooled"][:5][target[:5] == each].mean(0) for each in (0, 1)])
    directions: Tensor = method.get_buffer("directions")
    torch.testing.assert_close(directions[:2], F.normalize(expected, dim=1))
    assert torch.equal(directions[2:], torch.zeros_like(directions[2:]))


def test_crd_says_that_it_needs_every_label() -> None:
    context = digits_context()
    assert context.facts is not None
    hidden = context.facts.targets.clone()
    hidden[:7] = UNLABELLED
    with pytest.raises(ValueError, match=r"crd tells every training sample from those of other classes.*7 of 48 carry"):
        settings_of("crd").build(replace(context, facts=replace(context.facts, targets=hidden)))


def test_supervised_learns_from_the_labelled_ones() -> None:
    student = outputs(1)
    target = torch.tensor([0, UNLABELLED, 2, 3, UNLABELLED, 5, 0, 1])
    kept = target != UNLABELLED
    expected = F.cross_entropy(student.logits[kept], target[kept])
    assert Supervised().forward(student, None, batch(target))["hard"] == expected
