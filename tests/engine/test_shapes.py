import pytest
import torch
from torch import Tensor, nn

from decant.engine.shapes import dry_shapes, taps_of
from decant.interfaces import Shapes
from decant.models import create


class Fails(nn.Module):
    """Has something to restore, and never gets through."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Dropout()

    def forward(self, images: Tensor) -> Tensor:
        raise ArithmeticError


def test_shapes_are_those_of_logits_and_taps_without_the_batch() -> None:
    network = create("digits_student", num_classes=7)
    shapes = dry_shapes(network, torch.zeros(2, 1, 8, 8), {"last": network.taps["stage2"], "vector": "pool"})
    assert shapes == Shapes(logits=(7,), taps={"last": (16, 2, 2), "vector": (16,)})


def test_a_dry_pass_leaves_the_network_as_it_was() -> None:
    network = nn.Sequential(nn.BatchNorm1d(4), nn.BatchNorm1d(4), nn.Dropout()).train()
    network[1].eval()  # as one freezes the statistics of a single layer
    before = {key: value.clone() for key, value in network.state_dict().items()}
    dry_shapes(network, torch.ones(2, 4), {})
    assert [module.training for module in network] == [True, False, True]
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


def test_a_dry_pass_that_fails_leaves_it_too() -> None:
    network = Fails()
    with pytest.raises(ArithmeticError):
        dry_shapes(network, torch.ones(1, 1), {})
    assert network.training
    assert network.inner.training


def test_the_example_comes_to_the_network() -> None:
    assert dry_shapes(nn.Linear(3, 2).to("meta"), torch.zeros(1, 3), {}).logits == (2,)
    assert dry_shapes(nn.Flatten(), torch.zeros(1, 3, 2), {}).logits == (6,)


def test_only_a_mapping_is_taken_for_taps() -> None:
    network = nn.Linear(2, 2)
    assert taps_of(None) == {}
    assert taps_of(network) == {}
    assert taps_of(create("digits_student"))["pooled"] == "pool"
