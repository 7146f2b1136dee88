"""ResNets made for 32x32 images: three stages of basic blocks, depth 6n + 2.

Source: He et al., "Deep Residual Learning for Image Recognition", arXiv:1512.03385, section 4.2.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from decant.models.network import ZooNetwork, global_average_pool, initialise_convolutions, stage_taps


class BasicBlock(nn.Module):
    """relu(BN(conv(relu(BN(conv(x))))) + x) with 3x3 convolutions; 1x1 and BN make x fit where shapes change."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or in_channels != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )
        self.preactivation = nn.Identity()  # gives the sum a path that a tap can name

    def forward(self, x: Tensor) -> Tensor:
        branch = F.relu(self.bn1(self.conv1(x)))
        branch = self.bn2(self.conv2(branch))
        return F.relu(self.preactivation(branch + self.downsample(x)))


class ResNet(ZooNetwork):
    """A CIFAR ResNet of ``depth`` layers; ``widths`` are the channels of the stem and of the three stages.

    >>> network = ResNet(depth=8, widths=(16, 16, 32, 64), num_classes=10)
    >>> sum(parameter.numel() for parameter in network.parameters())
    78042
    """

    def __init__(
        self, *, depth: int, widths: tuple[int, int, int, int], num_classes: int = 100, in_channels: int = 3
    ) -> None:
        if depth < 8 or (depth - 2) % 6:
            raise ValueError(f"depth must be 6n + 2 (8, 14, 20, ...), got {depth}")
        super().__init__()
        blocks = (depth - 2) // 6
        self.conv1 = nn.Conv2d(in_channels, widths[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.relu = nn.ReLU()
        self.layer1 = _stage(widths[0], widths[1], blocks, stride=1)
        self.layer2 = _stage(widths[1], widths[2], blocks, stride=2)
        self.layer3 = _stage(widths[2], widths[3], blocks, stride=2)
        self.pool = global_average_pool()
        self.fc = nn.Linear(widths[3], num_classes)
        initialise_convolutions(self)
        self.taps = stage_taps(
            "relu", [(f"layer{stage}", f"layer{stage}.{blocks - 1}.preactivation") for stage in (1, 2, 3)]
        )

    def forward(self, images: Tensor) -> Tensor:
        """The logits (N, C) of images (N, channels, H, W)."""
        x = self.relu(self.bn1(self.conv1(images)))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: Tensor = self.fc(self.pool(x))
        return logits


def _stage(in_channels: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        BasicBlock(in_channels, channels, stride), *(BasicBlock(channels, channels, 1) for _ in range(blocks - 1))
    )
