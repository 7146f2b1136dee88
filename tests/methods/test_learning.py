"""With the labels switched off, a student comes to agree with its teacher, and only with its own."""

import pytest
import torch
from torch import Tensor, nn

from decant.interfaces import Batch, BuildContext, MethodSettings, Outputs
from decant.methods import DKDSettings, KDSettings, weighted_total

SAMPLES, FEATURES, CLASSES, STEPS = 256, 12, 6, 60


def agreement(settings: MethodSettings, *, shuffled: bool) -> tuple[float, float]:
    """The share of samples on which student and teacher choose the same class, before and after training."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(SAMPLES, FEATURES, generator=generator)
    knowledge = 3 * torch.randn(FEATURES, CLASSES, generator=generator)
    teacher = images @ knowledge
    order = torch.randperm(SAMPLES, generator=generator)
    student = nn.Linear(FEATURES, CLASSES)
    with torch.no_grad():
        student.weight.copy_(0.1 * torch.randn(CLASSES, FEATURES, generator=generator))
        student.bias.zero_()

    def agreeing() -> float:
        choice: Tensor = student(images).argmax(dim=1)
        return (choice == teacher.argmax(dim=1)).double().mean().item()

    method = settings.build(BuildContext(student=student))
    views = [images + 0.3 * view * torch.randn(SAMPLES, FEATURES, generator=generator) for view in range(method.views)]
    taught = _outputs([(view @ knowledge)[order] if shuffled else view @ knowledge for view in views])
    optimizer = torch.optim.SGD(student.parameters(), lr=0.02, momentum=0.9)
    before = agreeing()
    for _ in range(STEPS):
        batch = Batch(tuple(views), None, torch.arange(SAMPLES))
        terms = method(_outputs([student(view) for view in views]), taught, batch)
        optimizer.zero_grad()
        torch.autograd.backward(weighted_total(terms, method.weights(0.0)))
        optimizer.step()
    return before, agreeing()


def _outputs(logits: list[Tensor]) -> Outputs:
    first, *more = logits
    return Outputs(first, more=tuple(Outputs(view) for view in more))


KD = KDSettings(task_weight=0.0, weight=1.0)
DKD = DKDSettings(task_weight=0.0, alpha=1.0, beta=1.0, warmup=0)
NCKD = DKDSettings(task_weight=0.0, alpha=0.0, beta=2.0, warmup=0)


# NCKD by itself says nothing about the teacher's first choice but that the others rank below each other.
@pytest.mark.parametrize(("settings", "at_least"), [(KD, 0.85), (DKD, 0.85), (NCKD, 0.6)], ids=["kd", "dkd", "nckd"])
def test_the_student_comes_to_agree_with_its_teacher(settings: MethodSettings, at_least: float) -> None:
    before, after = agreement(settings, shuffled=False)
    assert before < 0.3
    assert after > at_least


@pytest.mark.parametrize("settings", [KD, DKD, NCKD], ids=["kd", "dkd", "nckd"])
def test_answers_to_other_questions_teach_nothing(settings: MethodSettings) -> None:
    before, after = agreement(settings, shuffled=True)
    assert after < before + 0.15


def test_a_teacher_with_no_weight_teaches_nothing() -> None:
    before, after = agreement(KDSettings(task_weight=0.0, weight=0.0), shuffled=False)
    assert after == before
