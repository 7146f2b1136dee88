"""A method says that it must see the whole batch exactly where its loss of a batch is not the mean of its halves'."""

import pytest
import torch
from torch import Tensor

from decant.engine import Distiller
from decant.interfaces import MethodSettings
from decant.methods import METHODS, ComposedSettings, DISTSettings, DKDSettings, NCKDSettings
from decant.models import create
from methods.building import CLASSES, facts, settings_of

LATE = 300.0
KINDS: dict[str, MethodSettings] = {name: settings_of(name) for name in METHODS if name != "crd"} | {
    "half": NCKDSettings(samples="unsure"),
    "composed": ComposedSettings((DKDSettings(), DISTSettings())),
}


def distiller_of(settings: MethodSettings) -> Distiller:
    torch.manual_seed(4)
    student, teacher = (create(name, num_classes=CLASSES) for name in ("digits_student", "digits_teacher"))
    images, target = torch.randn(12, 1, 8, 8), torch.arange(12) % CLASSES
    made = Distiller(student, teacher, settings, example=images, facts=facts()).double().eval()
    made.prepare([(images.double(), target)])
    return made


def loss_of(distiller: Distiller, images: Tensor, target: Tensor) -> Tensor:
    views = tuple(images + view for view in range(distiller.method.views))
    with torch.no_grad():
        loss: Tensor = distiller(views, target, epoch=LATE).loss
        return loss


@pytest.mark.parametrize("name", KINDS)
def test_whoever_compares_samples_says_so(name: str) -> None:
    distiller = distiller_of(KINDS[name])
    images, target = torch.randn(8, 1, 8, 8, dtype=torch.float64), torch.arange(8) % CLASSES
    whole = loss_of(distiller, images, target)
    halves = torch.stack([loss_of(distiller, images[part::2], target[part::2]) for part in (0, 1)]).mean()
    alike = bool((whole - halves).abs() < 1e-9 * (1 + whole.abs()))
    assert alike != distiller.method.gather, f"whole {whole:.9f}, mean of the halves {halves:.9f}"


def test_crd_remembers_the_whole_batch() -> None:
    assert distiller_of(settings_of("crd")).method.gather, "its memory is told of all samples"
