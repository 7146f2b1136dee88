"""MobileNetV2 at half width for 32x32 images.

Source: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", arXiv:1801.04381, table 2, with every
width but the last halved, and fewer strides.
"""

from torch import Tensor, nn

from decant.models.network import (
    ZooNetwork,
    global_average_pool,
    initialise_classifier,
    initialise_convolutions,
    stage_taps,
)

# (expansion, channels, blocks, stride of the first block)
_GROUPS = ((1, 8, 1, 1), (6, 12, 2, 1), (6, 16, 3, 2), (6, 32, 4, 2), (6, 48, 3, 1), (6, 80, 3, 2), (6, 160, 1, 1))
_STEM_CHANNELS = 16
_LAST_CHANNELS = 1280  # widths below 1 leave the last convolution as wide as it is


class InvertedResidual(nn.Module):
    """Widen (1x1), filter each channel by itself (3x3), narrow without ReLU (1x1); plus x where shapes allow."""

    def __init__(self, in_channels: int, channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = in_channels * expansion
        self.conv = nn.Sequential(
            nn.Conv2d(in_channels, wide, 1, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU(),
            nn.Conv2d(wide, wide, 3, stride, padding=1, groups=wide, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU(),
            nn.Conv2d(wide, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.is_residual = stride == 1 and in_channels == channels

    def forward(self, x: Tensor) -> Tensor:
        branch: Tensor = self.conv(x)
        return x + branch if self.is_residual else branch


class MobileNetV2(ZooNetwork):
    """MobileNetV2 at half width.

    Its stages end in linear bottlenecks: no ReLU follows, so ``stageN.pre`` is the same feature as ``stageN``.

    >>> sum(parameter.numel() for parameter in MobileNetV2(num_classes=100).parameters())
    812836
    """

    def __init__(self, *, num_classes: int = 100, in_channels: int = 3) -> None:
        super().__init__()
        self.conv1 = _conv_bn_relu(in_channels, _STEM_CHANNELS, kernel=3, stride=2)
        self.blocks = nn.ModuleList()
        before = _STEM_CHANNELS
        for expansion, channels, blocks, stride in _GROUPS:
            first = InvertedResidual(before, channels, stride, expansion)
            others = (InvertedResidual(channels, channels, 1, expansion) for _ in range(blocks - 1))
            self.blocks.append(nn.Sequential(first, *others))
            before = channels
        self.conv2 = _conv_bn_relu(before, _LAST_CHANNELS, kernel=1, stride=1)
        classifier = nn.Linear(_LAST_CHANNELS, num_classes)
        self.classifier = nn.Sequential(classifier)
        self.pool = global_average_pool()
        initialise_convolutions(self)
        initialise_classifier(classifier)
        # The last group of each resolution: 16x16, 8x8, 4x4 and 2x2 for 32x32 images.
        self.taps = stage_taps("conv1", [(f"blocks.{group}", f"blocks.{group}") for group in (1, 2, 4, 6)])

    def forward(self, images: Tensor) -> Tensor:
        """The logits (N, C) of images (N, channels, H, W)."""
        x = self.conv1(images)
        for group in self.blocks:
            x = group(x)
        logits: Tensor = self.classifier(self.pool(self.conv2(x)))
        return logits


def _conv_bn_relu(in_channels: int, channels: int, kernel: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    )
