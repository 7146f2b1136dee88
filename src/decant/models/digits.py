"""Two small plain networks for 8x8 digits, for demos and quick tests: a teacher, and a student of 3,778 parameters."""

from torch import Tensor, nn

from decant.models.network import ZooNetwork, global_average_pool, initialise_convolutions, stage_taps


class DigitsNet(ZooNetwork):
    """Three stages of 3x3 convolutions with BN and ReLU (8x8, 4x4 and 2x2 for 8x8 images), then a linear classifier.

    Args:
        widths: channels of the three stages.
        convolutions: convolutions per stage.
        num_classes: C.
        in_channels: channels of the images; digits have one.

    >>> network = DigitsNet(widths=(8, 16, 16), convolutions=1, num_classes=10)
    >>> sum(parameter.numel() for parameter in network.parameters())
    3778
    """

    def __init__(
        self, *, widths: tuple[int, int, int], convolutions: int, num_classes: int = 100, in_channels: int = 1
    ) -> None:
        super().__init__()
        self.block0 = _block(in_channels, widths[0], convolutions, stride=1)
        self.block1 = _block(widths[0], widths[1], convolutions, stride=2)
        self.block2 = _block(widths[1], widths[2], convolutions, stride=2)
        self.relu0, self.relu1, self.relu2 = (nn.ReLU() for _ in range(3))
        self.pool = global_average_pool()
        self.classifier = nn.Linear(widths[2], num_classes)
        initialise_convolutions(self)
        self.taps = stage_taps("relu0", [("relu1", "block1"), ("relu2", "block2")])

    def forward(self, images: Tensor) -> Tensor:
        """The logits (N, C) of images (N, channels, H, W)."""
        x = self.relu0(self.block0(images))
        x = self.relu1(self.block1(x))
        x = self.relu2(self.block2(x))
        logits: Tensor = self.classifier(self.pool(x))
        return logits


def _block(in_channels: int, channels: int, convolutions: int, stride: int) -> nn.Sequential:
    """Convolutions with BN, the first of them strided, and ReLUs between them; the last ReLU stands outside."""
    layers: list[nn.Module] = []
    for _ in range(convolutions):
        layers += [nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False), nn.BatchNorm2d(channels)]
        layers.append(nn.ReLU())
        in_channels, stride = channels, 1
    return nn.Sequential(*layers[:-1])
