"""All 24 networks against the zoo that published checkpoints come from.

``fixtures/zoo/NAME.json`` holds, per network at 100 classes (at 1000 for ImageNet's), the key -> shape list of that
zoo's state dict, and what it computes in float64 and eval mode under ``reference_weights`` for ``reference_images``:
logits, and of every stage the shape and the ``fingerprint``. The formulas below are all that is needed to make the
fixtures again.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from decant.models import IMAGENET, ZOO, Tapped, create, load_weights

FIXTURES = Path(__file__).parents[1] / "fixtures" / "zoo"
PERIOD = 9973


def wave(shape: tuple[int, ...], position: int) -> Tensor:
    """Entry k is sin(k^2 mod 9973 + position): values in -1..1 without correlation between neighbours, in float64."""
    step = torch.arange(PERIOD)
    period = torch.sin((step * step % PERIOD + position).double())
    count = torch.Size(shape).numel()
    return period.repeat(-(-count // PERIOD))[:count].reshape(shape)


def reference_weights(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """A state dict for these keys and shapes, scaled so that features neither vanish nor explode."""
    weights = {}
    for position, (key, shape) in enumerate(shapes.items()):
        values = wave(shape, position)
        match key.rpartition(".")[2]:
            case "num_batches_tracked":
                values = torch.tensor(position)
            case "running_var":
                values = 1 + 0.5 * values
            case "weight" if len(shape) == 1:
                values = 0.5 + 0.25 * values
            case "weight":
                values = values * (4 / torch.Size(shape[1:]).numel()) ** 0.5
            case _:
                values = 0.1 * values
        weights[key] = values
    return weights


def reference_images(name: str) -> Tensor:
    return wave((2, 3, 224, 224) if name in IMAGENET else (2, 3, 32, 32), 0)


def fingerprint(feature: Tensor) -> list[float]:
    """Mean, standard deviation, and the mean against a wave, which depends on the place of every entry."""
    return [feature.mean().item(), feature.std().item(), (feature * wave(tuple(feature.shape), 0)).mean().item()]


def fixture(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((FIXTURES / f"{name}.json").read_text())
    content["shapes"] = {key: tuple(shape) for key, shape in content["shapes"].items()}
    return content


@pytest.mark.parametrize("name", ZOO | IMAGENET)
def test_weights_load_strictly_and_give_the_same_logits_and_stages(name: str) -> None:
    expected = fixture(name)
    network = create(name, num_classes=len(expected["logits"][0])).double().eval()
    assert {key: tuple(value.shape) for key, value in network.state_dict().items()} == expected["shapes"]
    assert list(network.state_dict()) == list(expected["shapes"])  # the order that an optimiser's state goes by

    load_weights(network, reference_weights(expected["shapes"]))
    with torch.no_grad():
        outputs = Tapped(network, {tap: network.taps[tap] for tap in expected["taps"]})(reference_images(name))

    torch.testing.assert_close(
        outputs.logits, torch.tensor(expected["logits"], dtype=torch.float64), rtol=1e-9, atol=1e-9
    )
    for tap, feature in outputs.taps.items():
        assert list(feature.shape) == expected["taps"][tap]["shape"], tap
        assert fingerprint(feature) == pytest.approx(expected["taps"][tap]["fingerprint"], rel=1e-9, abs=1e-9), tap


@pytest.mark.parametrize("name", ZOO | IMAGENET)
def test_every_stage_of_the_reference_is_tapped(name: str) -> None:
    stages = sum(not tap.endswith(".pre") for tap in fixture(name)["taps"]) - 1  # less the pooled vector
    wanted = {f"stage{stage}" for stage in range(stages)} | {f"stage{stage}.pre" for stage in range(1, stages)}
    with torch.device("meta"):
        assert set(create(name).taps) == wanted | {"map", "pooled"}


def test_the_fingerprint_sees_a_permutation_of_positions() -> None:
    feature = reference_images("resnet20")
    assert fingerprint(feature) != pytest.approx(fingerprint(feature.flip(-1)), rel=1e-3)
