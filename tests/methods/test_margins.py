"""The margins of ofd: the mean of what a ReLU would silence, read from the right BatchNorm."""

import math

import pytest
import torch
from torch import nn

from decant.methods.ofd import last_batchnorm, negative_mean
from decant.models import create


def batchnorm(*parameters: tuple[float, float]) -> nn.BatchNorm2d:
    """With these (deviation, mean) by channel."""
    layer = nn.BatchNorm2d(len(parameters))
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([deviation for deviation, _ in parameters]))
        layer.bias.copy_(torch.tensor([mean for _, mean in parameters]))
    return layer


def test_the_margin_is_the_mean_of_the_negative_part_of_a_normal() -> None:
    torch.manual_seed(0)
    cases = [(1.0, 0.0), (0.5, 0.3), (2.0, -1.0), (-1.0, 0.5), (0.1, -3.0)]
    for (deviation, mean), margin in zip(cases, negative_mean(batchnorm(*cases)).tolist(), strict=True):
        drawn = mean + deviation * torch.randn(2_000_000, dtype=torch.float64)
        assert margin == pytest.approx(drawn[drawn < 0].mean().item(), abs=5e-3)


def test_a_channel_that_is_hardly_ever_negative_gets_three_deviations() -> None:
    assert negative_mean(batchnorm((0.5, 2.0))).item() == -1.5  # four deviations above 0


def test_a_channel_without_deviation_is_its_mean_or_zero() -> None:
    assert negative_mean(batchnorm((0.0, -2.0), (0.0, 2.0), (0.0, 0.0))).tolist() == [-2.0, 0.0, 0.0]


def test_a_batchnorm_without_parameters_is_standard() -> None:
    expected = -math.sqrt(2 / math.pi)
    assert negative_mean(nn.BatchNorm2d(2, affine=False)).tolist() == pytest.approx([expected] * 2)


@pytest.mark.parametrize(
    ("name", "paths"),
    [
        ("resnet14", ["layer1.1.bn2", "layer2.1.bn2", "layer3.1.bn2"]),
        ("resnet32x4", ["layer1.4.bn2", "layer2.4.bn2", "layer3.4.bn2"]),
        ("wrn_16_1", ["block2.layer.0.bn1", "block3.layer.0.bn1", "bn1"]),
        ("vgg13", ["block1.4", "block2.4", "block3.4", "block4.4"]),
        ("ResNet50", ["layer1.2.bn3", "layer2.3.bn3", "layer3.5.bn3", "layer4.2.bn3"]),
        ("MobileNetV2", ["blocks.1.1.conv.7", "blocks.2.2.conv.7", "blocks.4.2.conv.7", "blocks.6.0.conv.7"]),
        ("ShuffleNetV1", ["layer1.3.bn3", "layer2.7.bn3", "layer3.3.bn3"]),
    ],
)
def test_the_batchnorm_is_the_last_before_the_stage_ends(name: str, paths: list[str]) -> None:
    network = create(name, num_classes=5)
    for stage, path in enumerate(paths, start=1):
        expected = network.get_submodule(path)
        assert isinstance(expected, nn.BatchNorm2d)
        tap = f"stage{stage}.pre"
        assert last_batchnorm(network, tap, network.taps[tap], expected.num_features) is expected


def test_a_teacher_without_such_a_batchnorm_is_refused() -> None:
    network = create("ShuffleNetV2", num_classes=5)  # half of the channels pass its last BatchNorm by
    path = network.taps["stage1.pre"]
    with pytest.raises(
        ValueError, match=r"none of 116 channels in or beside module .* \(tap 'stage1.pre'\); this teacher"
    ):
        last_batchnorm(network, "stage1.pre", path, 116)
