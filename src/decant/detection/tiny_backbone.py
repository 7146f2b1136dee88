"""A backbone that learns in seconds on a CPU: for tests, and to see a detector learn."""

from collections.abc import Callable

from torch import Tensor, nn


class TinyBackbone(nn.Sequential):
    """Three stages of strides 4, 8 and 16, each a convolution of stride 2 and one of stride 1 with BN and ReLU.

    Args:
        width: channels of the first stage; each further one has twice as many.
        norm_layer: what normalises.
    """

    def __init__(self, width: int, *, norm_layer: Callable[[int], nn.Module] = nn.BatchNorm2d) -> None:
        super().__init__()
        self.add_module("stem", _block(3, width, norm_layer))
        for stage in range(3):
            channels = width * 2**stage
            self.add_module(
                f"stage{stage + 1}",
                nn.Sequential(
                    _block(max(channels // 2, width), channels, norm_layer),
                    _block(channels, channels, norm_layer, stride=1),
                ),
            )

    def forward(self, images: Tensor) -> Tensor:
        """The coarsest map (B, 4 width, H / 16, W / 16) of images (B, 3, H, W)."""
        for stage in self:
            images = stage(images)
        return images


def _block(in_channels: int, channels: int, norm_layer: Callable[[int], nn.Module], stride: int = 2) -> nn.Sequential:
    convolution = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
    return nn.Sequential(convolution, norm_layer(channels), nn.ReLU())
