"""ShuffleNetV2 at width 1 for 32x32 images: half of the channels pass each block untouched.

Source: Ma et al., "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design", arXiv:1807.11164;
the stem is one 1x1 convolution of stride 1.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from decant.models.channel_shuffle import channel_shuffle
from decant.models.network import ZooNetwork, global_average_pool, stage_taps

_STEM_CHANNELS = 24
_STAGES = ((116, 3), (232, 7), (464, 3))  # (channels, blocks after the one that halves the resolution)
_LAST_CHANNELS = 1024


class DownsamplingBlock(nn.Module):
    """Two branches of stride 2, each half of the output channels, concatenated and shuffled."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv1 = nn.Conv2d(in_channels, in_channels, 3, stride=2, padding=1, groups=in_channels, bias=False)
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv2 = nn.Conv2d(in_channels, half, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = nn.Conv2d(in_channels, half, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(half)
        self.conv4 = nn.Conv2d(half, half, 3, stride=2, padding=1, groups=half, bias=False)
        self.bn4 = nn.BatchNorm2d(half)
        self.conv5 = nn.Conv2d(half, half, 1, bias=False)
        self.bn5 = nn.BatchNorm2d(half)

    def forward(self, x: Tensor) -> Tensor:
        left = self.bn1(self.conv1(x))
        left = F.relu(self.bn2(self.conv2(left)))
        right = F.relu(self.bn3(self.conv3(x)))
        right = self.bn4(self.conv4(right))
        right = F.relu(self.bn5(self.conv5(right)))
        return channel_shuffle(torch.cat([left, right], dim=1), groups=2)


class SplitBlock(nn.Module):
    """One half of the channels passes, the other goes through 1x1, depthwise 3x3 and 1x1; then shuffle."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv1 = nn.Conv2d(half, half, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(half)
        self.conv2 = nn.Conv2d(half, half, 3, padding=1, groups=half, bias=False)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = nn.Conv2d(half, half, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(half)
        self.preactivation = nn.Identity()  # gives the concatenation a path that a tap can name

    def forward(self, x: Tensor) -> Tensor:
        passing, branch = x.chunk(2, dim=1)
        branch = F.relu(self.bn1(self.conv1(branch)))
        branch = self.bn2(self.conv2(branch))
        branch = self.bn3(self.conv3(branch))
        # The passing half comes out of an earlier ReLU and is left as it is by this one: one concatenation serves both.
        return channel_shuffle(F.relu(self.preactivation(torch.cat([passing, branch], dim=1))), groups=2)


class ShuffleNetV2(ZooNetwork):
    """ShuffleNetV2 with stages of 116, 232 and 464 channels and a last convolution of 1024.

    ``stageN.pre`` has the channels of ``stageN`` in the order before the shuffle.

    >>> sum(parameter.numel() for parameter in ShuffleNetV2(num_classes=100).parameters())
    1355528
    """

    def __init__(self, *, num_classes: int = 100, in_channels: int = 3) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, _STEM_CHANNELS, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(_STEM_CHANNELS)
        self.relu = nn.ReLU()
        (width1, blocks1), (width2, blocks2), (width3, blocks3) = _STAGES
        self.layer1 = _stage(_STEM_CHANNELS, width1, blocks1)
        self.layer2 = _stage(width1, width2, blocks2)
        self.layer3 = _stage(width2, width3, blocks3)
        self.conv2 = nn.Conv2d(width3, _LAST_CHANNELS, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(_LAST_CHANNELS)
        self.pool = global_average_pool()
        self.linear = nn.Linear(_LAST_CHANNELS, num_classes)
        self.taps = stage_taps(
            "relu",
            [
                (f"layer{stage}", f"layer{stage}.{blocks}.preactivation")
                for stage, (_, blocks) in enumerate(_STAGES, start=1)
            ],
        )

    def forward(self, images: Tensor) -> Tensor:
        """The logits (N, C) of images (N, channels, H, W)."""
        x = self.relu(self.bn1(self.conv1(images)))
        x = self.layer3(self.layer2(self.layer1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        logits: Tensor = self.linear(self.pool(x))
        return logits


def _stage(in_channels: int, channels: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(DownsamplingBlock(in_channels, channels), *(SplitBlock(channels) for _ in range(blocks)))
