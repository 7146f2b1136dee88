"""ShuffleNet for 32x32 images: pointwise group convolutions with a channel shuffle between them.

Source: Zhang et al., "ShuffleNet: An Extremely Efficient Convolutional Neural Network for Mobile Devices",
arXiv:1707.01083, three groups; the stem is one 1x1 convolution of stride 1.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from decant.models.channel_shuffle import channel_shuffle
from decant.models.network import ZooNetwork, global_average_pool, stage_taps

_STEM_CHANNELS = 24
_GROUPS = 3
_STAGES = ((240, 4), (480, 8), (960, 4))  # (channels, blocks)


class ShuffleUnit(nn.Module):
    """Grouped 1x1, shuffle, depthwise 3x3, grouped 1x1; x is added, or averaged and concatenated where stride is 2."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        # Concatenation contributes the input's channels, so that the branch makes only the rest.
        out_channels = channels - in_channels if stride == 2 else channels
        middle = out_channels // 4
        self.groups = 1 if in_channels == _STEM_CHANNELS else _GROUPS  # too few channels after the stem for groups
        self.stride = stride
        self.conv1 = nn.Conv2d(in_channels, middle, 1, groups=self.groups, bias=False)
        self.bn1 = nn.BatchNorm2d(middle)
        self.conv2 = nn.Conv2d(middle, middle, 3, stride, padding=1, groups=middle, bias=False)
        self.bn2 = nn.BatchNorm2d(middle)
        self.conv3 = nn.Conv2d(middle, out_channels, 1, groups=_GROUPS, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.preactivation = nn.Identity()  # gives the sum a path that a tap can name

    def forward(self, x: Tensor) -> Tensor:
        branch = F.relu(self.bn1(self.conv1(x)))
        branch = F.relu(self.bn2(self.conv2(channel_shuffle(branch, self.groups))))
        branch = self.bn3(self.conv3(branch))
        if self.stride == 2:
            x = F.avg_pool2d(x, 3, stride=2, padding=1)
        joined = torch.cat([branch, x], dim=1) if self.stride == 2 else branch + x
        return F.relu(self.preactivation(joined))


class ShuffleNetV1(ZooNetwork):
    """ShuffleNet with three groups and stages of 240, 480 and 960 channels.

    >>> sum(parameter.numel() for parameter in ShuffleNetV1(num_classes=100).parameters())
    949258
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
        self.pool = global_average_pool()
        self.linear = nn.Linear(width3, num_classes)
        self.taps = stage_taps(
            "relu",
            [
                (f"layer{stage}", f"layer{stage}.{blocks - 1}.preactivation")
                for stage, (_, blocks) in enumerate(_STAGES, start=1)
            ],
        )

    def forward(self, images: Tensor) -> Tensor:
        """The logits (N, C) of images (N, channels, H, W)."""
        x = self.relu(self.bn1(self.conv1(images)))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: Tensor = self.linear(self.pool(x))
        return logits


def _stage(in_channels: int, channels: int, blocks: int) -> nn.Sequential:
    first = ShuffleUnit(in_channels, channels, stride=2)
    return nn.Sequential(first, *(ShuffleUnit(channels, channels, stride=1) for _ in range(blocks - 1)))
