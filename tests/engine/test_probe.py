"""The linear probe: only the classifier learns at first, and resuming in it or after it changes nothing."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from decant.engine import train
from decant.engine.optim import learning_rate_at
from decant.engine.probe import Probe
from decant.engine.progress import Reporter
from decant.engine.training import Training, own_random_state
from decant.methods import ComposedSettings, KDSettings, SimKDSettings
from decant.models import build_network, classifier_of, create
from decant.recipe import Cosine, DOTSettings, MultiStep, TrainSettings
from engine.tiny import (
    CLASSES,
    InterruptAfter,
    LostMachineError,
    on_cpu,
    places,
    recipe,
    rows_of,
    splits,
    weights_of,
)

IMAGES = torch.rand(2, 3, 32, 32)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("resnet8", "fc"),
        ("vgg8", "classifier"),
        ("torchvision/mobilenet_v3_small", "classifier.3"),
        ("torchvision/squeezenet1_1", "classifier.1"),
    ],
)
def test_the_classifier_is_found(name: str, path: str) -> None:
    network = build_network(name, classes=7).train()
    assert classifier_of(network, IMAGES, 7) == path
    assert all(module.training for module in network.modules())
    assert not any(module._forward_hooks for module in network.modules())


def test_a_network_without_a_classifier() -> None:
    with pytest.raises(ValueError, match="no layer with a row of weights for each of 5 classes"):
        classifier_of(nn.Flatten(), IMAGES, 5)


def test_only_the_classifier_learns_while_it_is_probed() -> None:
    probed = recipe(epochs=3, probe_epochs=1, probe_learning_rate=0.3)
    with own_random_state(torch.device("cpu")):
        training = Training(probed, splits(), None, on_cpu())
        student = training.distiller.student

        def state() -> dict[str, torch.Tensor]:
            return {key: value.clone() for key, value in student.state_dict().items()}

        fresh = state()
        training.fit_epoch(0, Reporter())
        assert training.learning_rate == 0.3
        assert {key for key, value in state().items() if not torch.equal(value, fresh[key])} == {
            "classifier.weight",
            "classifier.bias",
        }
        assert student.training, "it is trained, if only in part"
        probed_state = state()
        training.fit_epoch(1, Reporter())
        still = [key for key, value in state().items() if torch.equal(value, probed_state[key])]
        assert still == []


@pytest.mark.parametrize("after", [2, 6, 10])
def test_a_probed_run_resumes_to_the_same_bits(tmp_path: Path, after: int) -> None:
    probed = recipe(epochs=4, probe_epochs=2)
    train(probed, tmp_path / "whole", places(tmp_path))
    with pytest.raises(LostMachineError):
        train(probed, tmp_path / "broken", places(tmp_path), reporter=InterruptAfter(after))
    train(probed, tmp_path / "broken", places(tmp_path))
    first, second = weights_of(tmp_path / "whole"), weights_of(tmp_path / "broken")
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert rows_of(tmp_path / "whole") == rows_of(tmp_path / "broken")


def test_the_schedule_begins_after_the_probe() -> None:
    settings = TrainSettings(epochs=12, learning_rate=0.5, probe_epochs=2, schedule=MultiStep(milestones=(5,)))
    rates = [learning_rate_at(settings, epoch) for epoch in (0, 1.99, 2, 6.9, 7)]
    assert rates == [0.1, 0.1, 0.5, 0.5, pytest.approx(0.05)]
    assert learning_rate_at(TrainSettings(epochs=10, learning_rate=0.5, schedule=Cosine()), 5) == pytest.approx(0.25)


def test_a_body_that_stands_still_keeps_its_statistics() -> None:
    network = create("digits_student", num_classes=CLASSES, in_channels=3)
    probe = Probe(network, torch.rand(2, 3, 8, 8), CLASSES)
    probe.freeze(True)
    network.train()
    probe.hold()
    assert network.training
    assert not any(module.training for module in network.modules() if isinstance(module, nn.BatchNorm2d))
    assert [name for name, parameter in network.named_parameters() if parameter.requires_grad] == [
        "classifier.weight",
        "classifier.bias",
    ]
    probe.freeze(False)
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_a_method_that_trains_another_network_is_refused_before_its_teacher_is_trained(tmp_path: Path) -> None:
    method = ComposedSettings((SimKDSettings(task_weight=1.0), KDSettings(task_weight=1.0)))
    for probed in (recipe(SimKDSettings(), probe_epochs=1), recipe(method, probe_epochs=1)):
        message = f"probe_epochs trains the student's own classifier first, but {re.escape(probed.method.name)} puts"
        with pytest.raises(ValueError, match=message):
            train(probed, tmp_path / "run", places(tmp_path), announce=False)
    assert not list(tmp_path.iterdir())


def test_settings_refuse() -> None:
    with pytest.raises(ValueError, match="probe_epochs must be 0 to 3, the epochs, got 4"):
        TrainSettings(epochs=3, probe_epochs=4)
    with pytest.raises(ValueError, match="probe_learning_rate must be a finite number above 0"):
        TrainSettings(probe_learning_rate=0.0)
    with pytest.raises(ValueError, match="probe_epochs go with optimizer sgd"):
        TrainSettings(probe_epochs=1, optimizer=DOTSettings())
