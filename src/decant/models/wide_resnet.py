"""Wide ResNets for 32x32 images: three stages of pre-activation blocks, depth 6n + 4.

Source: Zagoruyko and Komodakis, "Wide Residual Networks", arXiv:1605.07146.
"""

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn import functional as F

from decant.models.network import ZooNetwork, global_average_pool, initialise_convolutions, stage_taps


class PreactivationBlock(nn.Module):
    """x + conv(relu(BN(conv(relu(BN(x)))))); where the channels change, a 1x1 convolution of relu(BN(x)) replaces x."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        # The name is part of the key layout of published checkpoints.
        self.convShortcut = None if in_channels == channels else nn.Conv2d(in_channels, channels, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        activated = F.relu(self.bn1(x))
        branch: Tensor = self.conv2(F.relu(self.bn2(self.conv1(activated))))
        return branch + (x if self.convShortcut is None else self.convShortcut(activated))


class WideResNet(ZooNetwork):
    """A wide ResNet of ``depth`` layers, ``widen`` times as wide as a ResNet of 16, 32 and 64 channels.

    Its stages end in a sum without ReLU. The BN and ReLU that belong to a stage open the next one, so ``stageN.pre`` is
    what that BatchNorm puts out; it runs once per forward pass, tapped or not.

    >>> network = WideResNet(depth=16, widen=1, num_classes=100)
    >>> sum(parameter.numel() for parameter in network.parameters())
    180916
    """

    def __init__(self, *, depth: int, widen: int, num_classes: int = 100, in_channels: int = 3) -> None:
        if depth < 10 or (depth - 4) % 6:
            raise ValueError(f"depth must be 6n + 4 (10, 16, 22, ...), got {depth}")
        super().__init__()
        blocks = (depth - 4) // 6
        self.conv1 = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False)
        self.block1 = _stage(16, 16 * widen, blocks, stride=1)
        self.block2 = _stage(16 * widen, 32 * widen, blocks, stride=2)
        self.block3 = _stage(32 * widen, 64 * widen, blocks, stride=2)
        self.bn1 = nn.BatchNorm2d(64 * widen)
        self.pool = global_average_pool()
        self.fc = nn.Linear(64 * widen, num_classes)
        initialise_convolutions(self)
        nn.init.zeros_(self.fc.bias)
        self.taps = stage_taps(
            "conv1", [("block1", "block2.layer.0.bn1"), ("block2", "block3.layer.0.bn1"), ("block3", "bn1")]
        )

    def forward(self, images: Tensor) -> Tensor:
        """The logits (N, C) of images (N, channels, H, W)."""
        x = self.block3(self.block2(self.block1(self.conv1(images))))
        logits: Tensor = self.fc(self.pool(F.relu(self.bn1(x))))
        return logits


def _stage(in_channels: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    layers = nn.Sequential(
        PreactivationBlock(in_channels, channels, stride),
        *(PreactivationBlock(channels, channels, 1) for _ in range(blocks - 1)),
    )
    return nn.Sequential(OrderedDict(layer=layers))  # "layer" is part of the key layout of published checkpoints
