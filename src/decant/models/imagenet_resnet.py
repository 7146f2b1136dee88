"""The ResNets known from ImageNet, with a stem for 32x32 images: four stages of basic or bottleneck blocks.

Source: He et al., "Deep Residual Learning for Image Recognition", arXiv:1512.03385, table 1; the stem is one 3x3
convolution of stride 1 without pooling.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from decant.models.network import ZooNetwork, global_average_pool, initialise_convolutions, stage_taps


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with BN, plus the input, then ReLU."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.shortcut = _shortcut(in_channels, width, stride)
        self.preactivation = nn.Identity()  # gives the sum a path that a tap can name

    def forward(self, x: Tensor) -> Tensor:
        branch = F.relu(self.bn1(self.conv1(x)))
        branch = self.bn2(self.conv2(branch))
        return F.relu(self.preactivation(branch + self.shortcut(x)))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions with BN, four times as wide at the end, plus the input, then ReLU."""

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        channels = self.expansion * width
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels)
        self.shortcut = _shortcut(in_channels, channels, stride)
        self.preactivation = nn.Identity()  # gives the sum a path that a tap can name

    def forward(self, x: Tensor) -> Tensor:
        branch = F.relu(self.bn1(self.conv1(x)))
        branch = F.relu(self.bn2(self.conv2(branch)))
        branch = self.bn3(self.conv3(branch))
        return F.relu(self.preactivation(branch + self.shortcut(x)))


class ImageNetResNet(ZooNetwork):
    """A four-stage ResNet for 32x32 images; ``blocks`` says how many blocks each stage has.

    >>> network = ImageNetResNet(block=BasicBlock, blocks=(2, 2, 2, 2), num_classes=100)
    >>> sum(parameter.numel() for parameter in network.parameters())
    11220132
    """

    def __init__(
        self,
        *,
        block: type[BasicBlock] | type[Bottleneck],
        blocks: tuple[int, int, int, int],
        num_classes: int = 100,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 64, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.layer1 = _stage(block, 64, 64, blocks[0], stride=1)
        self.layer2 = _stage(block, 64 * block.expansion, 128, blocks[1], stride=2)
        self.layer3 = _stage(block, 128 * block.expansion, 256, blocks[2], stride=2)
        self.layer4 = _stage(block, 256 * block.expansion, 512, blocks[3], stride=2)
        self.pool = global_average_pool()
        self.linear = nn.Linear(512 * block.expansion, num_classes)
        initialise_convolutions(self)
        self.taps = stage_taps(
            "relu",
            [
                (f"layer{stage}", f"layer{stage}.{count - 1}.preactivation")
                for stage, count in enumerate(blocks, start=1)
            ],
        )

    def forward(self, images: Tensor) -> Tensor:
        """The logits (N, C) of images (N, channels, H, W)."""
        x = self.relu(self.bn1(self.conv1(images)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        logits: Tensor = self.linear(self.pool(x))
        return logits


def _stage(
    block: type[BasicBlock] | type[Bottleneck], in_channels: int, width: int, blocks: int, stride: int
) -> nn.Sequential:
    channels = width * block.expansion
    return nn.Sequential(block(in_channels, width, stride), *(block(channels, width, 1) for _ in range(blocks - 1)))


def _shortcut(in_channels: int, channels: int, stride: int) -> nn.Sequential:
    """The identity, which is an empty Sequential, or a 1x1 convolution with BN where shapes change."""
    if stride == 1 and in_channels == channels:
        return nn.Sequential()
    return nn.Sequential(nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))
