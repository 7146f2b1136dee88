"""Norm and direction: the class means that it works out once, and what it does where there are none."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from decant.interfaces import Batch, BuildContext, Outputs, Shapes
from decant.losses import nd_loss
from decant.methods import ND, NDSettings

FEATURES = torch.tensor([[3.0, 0.0], [1.0, 4.0], [-2.0, 0.0], [1.0, 0.0]])
TARGET = torch.tensor([0, 0, 2, 2])


def built(width: int = 2, **values: Any) -> ND:
    student, teacher = (Shapes((3,), {"pooled": (size,)}) for size in (width, 2))
    return NDSettings(**values).build(BuildContext(nn.Identity(), nn.Identity(), student, teacher))


def batch(target: Tensor | None) -> Batch:
    return Batch((torch.zeros(4, 1),), target, torch.arange(4))


def outputs(features: Tensor) -> Outputs:
    return Outputs(F.one_hot(TARGET, 3).float(), {"pooled": features})


def prepared(width: int = 2) -> ND:
    method = built(width, task_weight=0.0)
    halves = [(outputs(FEATURES[part]), Batch((FEATURES[part],), TARGET[part], TARGET[part])) for part in HALVES]
    method.prepare(iter(halves))
    return method


HALVES = (slice(0, 3), slice(3, 4))
ROOT_HALF = 0.5**0.5
DIRECTIONS = torch.tensor([[ROOT_HALF, ROOT_HALF], [0.0, 0.0], [-1.0, 0.0]])


def test_directions_are_those_of_the_class_means_over_all_batches() -> None:
    method = prepared()
    torch.testing.assert_close(method.directions, DIRECTIONS)
    student = torch.arange(8.0).view(4, 2)
    for target, expected in (
        (TARGET, DIRECTIONS[TARGET]),
        (None, DIRECTIONS[TARGET]),
        (torch.tensor([[0.5, 0.0, 0.5]] * 4), (0.5 * DIRECTIONS[0] + 0.5 * DIRECTIONS[2]).expand(4, 2)),
    ):
        term = method(outputs(student), outputs(FEATURES), batch(target))["nd"]
        torch.testing.assert_close(term, nd_loss(student, FEATURES, expected))


def test_a_feature_of_another_length_is_mapped_first() -> None:
    assert not list(prepared().parameters())
    method = prepared(width=5)
    assert {name: tuple(value.shape) for name, value in method.named_parameters()} == {
        "adapter.weight": (2, 5),
        "adapter.bias": (2,),
    }
    student = torch.randn(4, 5)
    term = method(outputs(student), outputs(FEATURES), batch(TARGET))["nd"]
    torch.testing.assert_close(term, nd_loss(method.adapter(student), FEATURES, DIRECTIONS[TARGET]))


def test_the_directions_are_saved_and_need_no_second_pass() -> None:
    other = built()
    other.load_state_dict(prepared().state_dict())
    term = other(outputs(FEATURES), outputs(FEATURES), batch(TARGET))["nd"]
    torch.testing.assert_close(term, nd_loss(FEATURES, FEATURES, DIRECTIONS[TARGET]))


def test_training_without_class_means_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the teacher's class means: call distiller\.prepare\(batches\) once before"):
        built()(outputs(FEATURES), outputs(FEATURES), batch(TARGET))
    for target in (None, torch.full((4, 3), 1 / 3)):
        with pytest.raises(ValueError, match="it needs the class index of every sample"):
            built().prepare(iter([(outputs(FEATURES), batch(target))]))


@pytest.mark.parametrize("mixed", [False, True])
def test_a_student_learns_the_directions_of_its_own_teacher_and_not_of_mixed_up_rows(mixed: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(240, 4, generator=generator)
    centres = torch.tensor([[1.0, 0.0], [-0.5, 0.75**0.5], [-0.5, -(0.75**0.5)]])  # a third of a turn apart
    classes = (images @ torch.randn(4, 3, generator=generator)).argmax(dim=1)
    order = torch.randperm(240, generator=generator) if mixed else torch.arange(240)
    right = Outputs(F.one_hot(classes, 3).float(), {"pooled": centres[classes]})
    taught = Outputs(right.logits[order], {"pooled": right.taps["pooled"][order]})
    student, method = nn.Linear(4, 2), built(task_weight=0.0)
    nn.init.zeros_(student.weight)
    nn.init.zeros_(student.bias)
    seen = Batch((images,), None, torch.arange(240))
    method.prepare(iter([(right, Batch((images,), classes, seen.index))]))
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1, momentum=0.9)
    for _ in range(60):
        term = method(Outputs(right.logits, {"pooled": student(images)}), taught, seen)["nd"]
        optimizer.zero_grad()
        term.backward()
        optimizer.step()
    learned = method(Outputs(right.logits, {"pooled": student(images)}), right, seen)["nd"].item()
    assert learned > 0.8 if mixed else learned < 0.3, learned
