"""MobileNetV1 for 224x224 images: convolutions of one channel each, followed by 1x1 convolutions.

Source: Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications",
arXiv:1704.04861, table 1.
"""

from torch import Tensor, nn

from decant.models.network import ZooNetwork, global_average_pool, stage_taps

_STEM_CHANNELS = 32
# (channels, stride) of the blocks
_BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1))
_STAGE_ENDS = (3, 5, 11, 13)  # the last block of each resolution: 56x56, 28x28, 14x14 and 7x7 for 224x224 images


class MobileNetV1(ZooNetwork):
    """MobileNetV1 at full width.

    >>> sum(parameter.numel() for parameter in MobileNetV1(num_classes=1000).parameters())
    4231976
    """

    def __init__(self, *, num_classes: int = 100, in_channels: int = 3) -> None:
        super().__init__()
        layers = [_convolution(in_channels, _STEM_CHANNELS, stride=2)]
        before = _STEM_CHANNELS
        for channels, stride in _BLOCKS:
            layers.append(_separable(before, channels, stride))
            before = channels
        self.model = nn.Sequential(*layers)
        self.fc = nn.Linear(before, num_classes)
        self.pool = global_average_pool()
        # A block is two times convolution, BN, ReLU; its fifth module is what its last ReLU reads.
        self.taps = stage_taps("model.0", [(f"model.{block}", f"model.{block}.4") for block in _STAGE_ENDS])

    def forward(self, images: Tensor) -> Tensor:
        """The logits (N, C) of images (N, channels, H, W)."""
        logits: Tensor = self.fc(self.pool(self.model(images)))
        return logits


def _convolution(in_channels: int, channels: int, stride: int) -> nn.Sequential:
    """3x3 convolution, BN, ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()
    )


def _separable(in_channels: int, channels: int, stride: int) -> nn.Sequential:
    """Filter each channel by itself (3x3), then mix them (1x1); BN and ReLU after both."""
    return nn.Sequential(
        nn.Conv2d(in_channels, in_channels, 3, stride, padding=1, groups=in_channels, bias=False),
        nn.BatchNorm2d(in_channels),
        nn.ReLU(),
        nn.Conv2d(in_channels, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    )
