from pathlib import Path

import pytest
import torch

from decant.engine import train
from decant.engine.evaluate import choices
from decant.engine.predictions import Predictions, predict, student_of
from decant.methods import SupervisedSettings
from engine.tiny import CLASSES, on_cpu, places, recipe, splits, untrained_teacher


def test_what_is_said_is_what_the_network_is_judged_by() -> None:
    network, images = untrained_teacher().network, splits().test
    said = predict(network, images, "cpu", tap="pooled")
    assert torch.equal(said.logits.argmax(1), choices(network, images, on_cpu()))
    assert torch.equal(said.target, images.target)
    assert said.logits.shape == (images.size, CLASSES)
    assert said.feature is not None
    classifier = network.get_submodule("classifier")
    torch.testing.assert_close(classifier(said.feature), said.logits, rtol=1e-4, atol=1e-5)
    assert predict(network, images, "cpu").feature is None


def test_the_training_mode_is_given_back_and_statistics_stay() -> None:
    network = untrained_teacher().network.train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    predict(network, splits().test, "cpu")
    assert network.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_sureness_is_the_probability_of_the_own_class() -> None:
    said = Predictions(torch.tensor([[2.0, 0.0, 0.0], [0.0, 4.0, 4.0]]), torch.tensor([0, 0]))
    odds = torch.tensor([2.0, 0.0], dtype=torch.float64)
    expected = [odds.exp()[0] / (odds.exp()[0] + 2), 1 / (1 + 2 * odds.new_tensor(4.0).exp())]
    torch.testing.assert_close(said.sureness(1.0), torch.stack(expected))
    assert said.sureness(1e6)[1].item() == pytest.approx(1 / 3, abs=1e-5)


def test_the_student_of_a_run_is_the_one_that_was_judged(tmp_path: Path) -> None:
    summary = train(recipe(SupervisedSettings()), tmp_path / "run", places(tmp_path))
    images = splits().test
    said = predict(student_of(tmp_path / "run", images), images, "cpu")
    right = (said.logits.argmax(1) == said.target).double().mean().item()
    assert 100 * right == pytest.approx(summary["last"]["top1"])
    (tmp_path / "run" / "student.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="the run is not finished, or its weights were moved"):
        student_of(tmp_path / "run", images)


def test_a_tap_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="has no tap 'pool'; it has: stage0"):
        predict(untrained_teacher().network, splits().test, "cpu", tap="pool")
