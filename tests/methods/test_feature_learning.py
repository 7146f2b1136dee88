"""A method on features brings the student to its own teacher's features, sample by sample, and not to mixed-up ones."""

from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F

from decant.interfaces import Batch, Outputs
from decant.methods import weighted_total
from decant.models import Tapped, create
from methods.building import CLASSES, FEATURE_METHODS, context, settings_of

SAMPLES = 48


class Learned(NamedTuple):
    """The method's own term: before, and after it alone was trained, against the teacher's rows and mixed-up ones."""

    before: float
    right: float
    mixed: float


def learned(name: str, *, from_mixed: bool) -> Learned:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        images = 1.5 * F.interpolate(torch.randn(SAMPLES, 3, 4, 4), scale_factor=2)
        teacher = create("digits_teacher", num_classes=CLASSES, in_channels=3)
        student = create("digits_student", num_classes=CLASSES, in_channels=3)
        with torch.no_grad():
            for _ in range(60):  # statistics that fit the images: untrained features are nearly equal without
                teacher(images)
        teacher.eval()
        method = settings_of(name, task_weight=0.0).build(context(student, teacher, images))
        with torch.no_grad():
            right = Tapped(teacher, {tap: teacher.taps[tap] for tap in method.taps})(images)
        order = torch.randperm(SAMPLES)
        mixed = Outputs(right.logits[order], {tap: feature[order] for tap, feature in right.taps.items()})
        tapped = Tapped(method.deployed(student), {tap: student.taps[tap] for tap in method.taps})
        batch = Batch((images,), None, torch.arange(SAMPLES))

        def term(teacher_says: Outputs) -> float:
            torch.manual_seed(1)  # the same strangers every time
            with torch.no_grad():
                return float(method.eval()(tapped(images), teacher_says, batch)[name])

        before = term(right)
        optimizer = torch.optim.Adam([*tapped.parameters(), *method.parameters()], lr=0.02)
        for _ in range(200 if name in ("vid", "crd") else 60):
            terms = method.train()(tapped(images), mixed if from_mixed else right, batch)
            optimizer.zero_grad()
            torch.autograd.backward(weighted_total(terms, method.weights(100.0)))
            optimizer.step()
        return Learned(before, term(right), term(mixed))


# The class means of an untrained teacher all point the same way: nd has a test of its own.
@pytest.mark.parametrize("name", [*(name for name in FEATURE_METHODS if name != "nd"), "simkd"])
def test_the_student_comes_to_have_the_features_of_its_own_teacher(name: str) -> None:
    taught, control = learned(name, from_mixed=False), learned(name, from_mixed=True)
    clearly = 0.1 * taught.before
    assert taught.right < taught.before - clearly
    assert taught.right < taught.mixed - clearly
    assert control.mixed < control.right - clearly
    assert taught.right < control.right - clearly
