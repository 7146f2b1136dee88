"""torchvision's ResNets with named stages compute what torchvision's do, and their names are what they say."""

import pytest
import torch
from torch import Tensor, nn
from torchvision import models

from decant.models import Tapped, build_network, fold_batchnorm

NAMES = ["resnet18", "resnet50"]


def images() -> Tensor:
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", NAMES)
def test_keys_logits_and_gradients_are_torchvision_s(name: str) -> None:
    torch.manual_seed(0)
    theirs = models.get_model(name, weights=None, num_classes=7)
    ours = build_network(f"torchvision/{name}", classes=7)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    for network in (ours, theirs):
        network.train()
    one, other = ours(images()), theirs(images())
    assert torch.equal(one, other)
    for logits in (one, other):
        torch.autograd.backward(logits.square().sum())
    for (key, mine), (_, given) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert mine.grad is not None
        assert given.grad is not None
        assert torch.equal(mine.grad, given.grad), key


@pytest.mark.parametrize("name", NAMES)
def test_stages_are_named_before_and_after_their_activation(name: str) -> None:
    torch.manual_seed(0)
    network = build_network(f"torchvision/{name}", classes=7).eval()
    assert isinstance(network.taps, dict)
    with torch.no_grad():
        outputs = Tapped(network, network.taps)(images())
    taps, wide = outputs.taps, 4 if name == "resnet50" else 1
    shapes = [(64, 16), (64 * wide, 16), (128 * wide, 8), (256 * wide, 4), (512 * wide, 2)]
    assert [(taps[f"stage{n}"].shape[1], taps[f"stage{n}"].shape[2]) for n in range(5)] == shapes
    for number in range(1, 5):
        assert (taps[f"stage{number}.pre"] < 0).any()
        assert torch.equal(taps[f"stage{number}.pre"].relu(), taps[f"stage{number}"])
    assert torch.equal(taps["map"], taps["stage4"])
    assert isinstance(network.fc, nn.Linear)
    assert torch.equal(network.fc(taps["pooled"]), outputs.logits)


def test_its_batch_norms_fold_with_the_features_as_they_were() -> None:
    torch.manual_seed(0)
    network = build_network("torchvision/resnet18", classes=7).eval()
    assert isinstance(network.taps, dict)
    folded = fold_batchnorm(network, images(), taps={"stage2.pre": network.taps["stage2.pre"]})
    assert len(folded.layers) == 20


def test_other_networks_are_left_as_they_are() -> None:
    assert not hasattr(build_network("torchvision/squeezenet1_1", classes=3), "taps")
