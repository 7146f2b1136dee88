"""VGG networks with BatchNorm for 32x32 images: five blocks of 3x3 convolutions and one linear classifier.

Source: Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", arXiv:1409.1556.
"""

from torch import Tensor, nn

from decant.models.network import (
    ZooNetwork,
    global_average_pool,
    initialise_classifier,
    initialise_convolutions,
    stage_taps,
)


class VGG(ZooNetwork):
    """A VGG whose five blocks have ``convolutions`` layers each and 64, 128, 256, 512 and 512 channels.

    Max-pooling stands between the first four blocks; the last two share a resolution (4x4 for 32x32 images).

    >>> network = VGG(convolutions=(1, 1, 1, 1, 1), num_classes=100)
    >>> sum(parameter.numel() for parameter in network.parameters())
    3965028
    """

    def __init__(
        self, *, convolutions: tuple[int, int, int, int, int], num_classes: int = 100, in_channels: int = 3
    ) -> None:
        super().__init__()
        self.block0 = _block(in_channels, 64, convolutions[0])
        self.block1 = _block(64, 128, convolutions[1])
        self.block2 = _block(128, 256, convolutions[2])
        self.block3 = _block(256, 512, convolutions[3])
        self.block4 = _block(512, 512, convolutions[4])
        self.relu0, self.relu1, self.relu2, self.relu3, self.relu4 = (nn.ReLU() for _ in range(5))
        self.downsample = nn.MaxPool2d(2)
        self.pool = global_average_pool()
        self.classifier = nn.Linear(512, num_classes)
        initialise_convolutions(self)
        initialise_classifier(self.classifier)
        self.taps = stage_taps("relu0", [(f"relu{stage}", f"block{stage}") for stage in (1, 2, 3, 4)])

    def forward(self, images: Tensor) -> Tensor:
        """The logits (N, C) of images (N, channels, H, W)."""
        x = self.relu0(self.block0(images))
        x = self.relu1(self.block1(self.downsample(x)))
        x = self.relu2(self.block2(self.downsample(x)))
        x = self.relu3(self.block3(self.downsample(x)))
        x = self.relu4(self.block4(x))
        logits: Tensor = self.classifier(self.pool(x))
        return logits


def _block(in_channels: int, channels: int, convolutions: int) -> nn.Sequential:
    """Convolutions with BN and ReLUs between them; the last ReLU stands outside, so that its input has a path."""
    layers: list[nn.Module] = []
    for _ in range(convolutions):
        layers += [nn.Conv2d(in_channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU()]
        in_channels = channels
    return nn.Sequential(*layers[:-1])
