"""Detectors by name."""

import pytest
import torch
import torchvision
from torch import nn
from torchvision.models.detection import fasterrcnn_resnet50_fpn
from torchvision.ops import FrozenBatchNorm2d

from decant.detection import DETECTORS, create_detector
from decant.detection.anatomy import anatomy

LEVELS = {
    "resnet18": (64, 128, 256, 512),
    "resnet34": (64, 128, 256, 512),
    "resnet50": (256, 512, 1024, 2048),
    "resnet101": (256, 512, 1024, 2048),
    "mobilenet_v2": (24, 32, 96, 320),
    "mobilenet_v3_large": (24, 40, 112, 160),
}


@pytest.mark.parametrize("name", LEVELS)
def test_the_pyramid_stands_on_the_last_map_of_each_resolution(name: str) -> None:
    network = create_detector(f"fasterrcnn_{name}_fpn", num_classes=3)
    assert tuple(block[0].in_channels for block in network.backbone.fpn.inner_blocks) == LEVELS[name]
    found = anatomy(network)
    assert list(found.strides.values()) == [4, 8, 16, 32, 64]
    assert set(found.channels.values()) == {256}
    assert found.classes == 3
    assert not any(isinstance(module, FrozenBatchNorm2d) for module in network.modules())
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_resnet50_has_the_keys_of_torchvisions_own() -> None:
    ours = create_detector("fasterrcnn_resnet50_fpn", num_classes=91).state_dict()
    theirs = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=91).state_dict()
    assert {key: value.shape for key, value in ours.items()} == {key: value.shape for key, value in theirs.items()}


def test_a_trained_backbone_keeps_its_statistics_and_first_stage() -> None:
    trained = torchvision.models.resnet18().state_dict()
    trained["bn1.running_mean"] += 1
    network = create_detector("fasterrcnn_resnet18_fpn", num_classes=3, trained_backbone=trained)
    assert torch.equal(network.backbone.body.conv1.weight, trained["conv1.weight"])
    assert torch.equal(network.backbone.body.bn1.running_mean, trained["bn1.running_mean"])
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    still = {name.split(".")[2] for name, parameter in network.named_parameters() if not parameter.requires_grad}
    assert still == {"conv1", "layer1"}


def test_a_trained_mobilenet_learns_throughout() -> None:
    trained = torchvision.models.mobilenet_v2().state_dict()
    network = create_detector("fasterrcnn_mobilenet_v2_fpn", num_classes=3, trained_backbone=trained)
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert torch.equal(network.backbone.body["0"][0].weight, trained["features.0.0.weight"])


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        create_detector(
            "fasterrcnn_resnet18_fpn", num_classes=3, trained_backbone=torchvision.models.resnet34().state_dict()
        )


def test_a_name_that_there_is_not() -> None:
    with pytest.raises(ValueError, match="did you mean 'fasterrcnn_resnet18_fpn'"):
        create_detector("fasterrcnn_resnet81_fpn", num_classes=3)
    with pytest.raises(ValueError, match="counts the background too"):
        create_detector("fasterrcnn_tiny_fpn", num_classes=1)


@pytest.mark.parametrize("name", [name for name in DETECTORS if "tiny" in name])
def test_a_tiny_one_finds_boxes(name: str) -> None:
    network = create_detector(name, num_classes=3).eval()
    with torch.no_grad():
        (found,) = network([torch.rand(3, 64, 80)])
    assert set(found) == {"boxes", "labels", "scores"}
