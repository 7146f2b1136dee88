from pathlib import Path
from typing import Any

import pytest
import torch

from decant.engine import train
from decant.engine.estimate import duration, size
from decant.engine.progress import Reporter
from decant.engine.training import Training
from decant.methods import DKDSettings
from decant.recipe import DOTSettings
from engine.tiny import on_cpu, places, recipe, splits, untrained_teacher


class Watch(Reporter):
    """Measures the largest size that a folder ever has, as far as the batches' ends show it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.largest = folder, 0

    def advance(self) -> None:
        self.largest = max(self.largest, sum(file.stat().st_size for file in self.folder.iterdir()))


@pytest.mark.parametrize(
    "settings", [{}, {"ema": 0.9}, {"optimizer": DOTSettings(), "nesterov": False}], ids=["plain", "ema", "dot"]
)
def test_the_disk_that_is_asked_for_is_enough_and_not_far_too_much(tmp_path: Path, settings: dict[str, Any]) -> None:
    planned = recipe(DKDSettings(), student="digits_teacher", **settings)
    with torch.random.fork_rng():
        training = Training(planned, splits(), untrained_teacher(), on_cpu())
        cost = training.estimate(tmp_path / "run" / "not" / "there" / "yet")
        fewer = training.estimate(tmp_path, done=2)
    watch = Watch(tmp_path / "run")
    train(planned, tmp_path / "run", places(tmp_path), teacher=untrained_teacher(), reporter=watch)
    needed = watch.largest * 3 / 2  # two are kept, and there is a third while it is written
    assert needed <= cost.bytes <= 1.5 * needed
    assert cost.bytes < cost.free
    assert fewer.seconds > 0
    assert cost.seconds > 0


def test_an_estimate_trains_nothing() -> None:
    with torch.random.fork_rng():
        training = Training(recipe(DKDSettings()), splits(), untrained_teacher(), on_cpu())
        before = {key: value.clone() for key, value in training.distiller.state_dict().items()}
        random = torch.get_rng_state()
        training.estimate(Path())
        assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, before[key]) for key, value in training.distiller.state_dict().items())
    assert all(parameter.grad is None for parameter in training.distiller.parameters())
    assert training.distiller.training


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "0 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "1.5 h")]
)
def test_seconds_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (2.5e9, "2.5 GB"), (5e12, "5000.0 GB")]
)
def test_bytes_in_words(count: float, words: str) -> None:
    assert size(count) == words
