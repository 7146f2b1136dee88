"""A student that is told to follow its teacher comes closer to it than one that is not, or that is told nonsense."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from decant.detection import RCNNDistiller, draw_shapes
from decant.detection.methods import DETECTION_METHODS
from decant.interfaces import Outputs
from detection.toy_detectors import detector

pytestmark = pytest.mark.slow

PICTURES = draw_shapes(6, seed=2)


def train(distiller: RCNNDistiller, steps: int) -> None:
    optimizer = torch.optim.SGD(distiller.parameters(), lr=0.02, momentum=0.9)
    for step in range(steps):
        chosen = [PICTURES[(2 * step + place) % 6] for place in (0, 1)]
        torch.manual_seed(step)
        loss, _ = distiller([image / 255 for image, _ in chosen], [target for _, target in chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@pytest.fixture(scope="module")
def taught() -> nn.Module:
    """A teacher that knows the six pictures, so that its regions differ from each other."""
    teacher: nn.Module = detector(3, "fasterrcnn_tiny_wide_fpn", num_classes=len(PICTURES.classes) + 1)
    train(RCNNDistiller(teacher, None, ()), steps=120)
    return teacher


def distance(teacher: nn.Module, settings: Any, weight: float, *, nonsense: bool = False) -> float:
    """The sum of the method's raw terms on the last steps of a training in which they have this weight."""
    torch.manual_seed(0)
    distiller = RCNNDistiller(detector(4, num_classes=len(PICTURES.classes) + 1), teacher, [settings])
    (method,) = distiller._methods
    measured, sums = method.forward, list[float]()

    def forward(student: Outputs, other: Outputs, target: Tensor) -> dict[str, Tensor]:
        true = measured(student, other, target)
        sums.append(sum(float(value.detach()) for value in true.values()))
        if nonsense:  # another region's logits, another place's features
            moved = {tap: level.flip(0, 3) for tap, level in other.taps.items()}
            true = measured(student, Outputs(other.logits[torch.randperm(len(target))], moved), target)
        return {name: weight * value for name, value in true.items()}

    setattr(method, "forward", forward)  # noqa: B010 - an instance's own
    train(distiller, steps=80)
    return sum(sums[-8:]) / 8


@pytest.mark.parametrize("name", DETECTION_METHODS)
def test_it_follows_its_own_teacher(taught: nn.Module, name: str) -> None:
    settings = DETECTION_METHODS[name]()
    told, alone = (distance(taught, settings, weight) for weight in (1.0, 0.0))
    misled = distance(taught, settings, 1.0, nonsense=True)
    assert told < 0.9 * alone
    assert told < 0.95 * misled
