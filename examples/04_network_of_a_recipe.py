"""A network of your own in a recipe: a function in a file, called as ``make(num_classes=C)``.

decant train examples/04_network_of_a_recipe.toml --trust-code
"""

from collections import OrderedDict

from torch import nn


def make(num_classes: int, in_channels: int = 3, width: int = 8) -> nn.Module:
    """Three convolutions and a classifier; a recipe sets the width by ``options = { width = 16 }``."""
    return nn.Sequential(
        OrderedDict(
            stem=_block(in_channels, width, stride=1),
            middle=_block(width, 2 * width, stride=2),
            last=_block(2 * width, 2 * width, stride=2),
            pool=nn.AdaptiveAvgPool2d(1),
            vector=nn.Flatten(),
            classifier=nn.Linear(2 * width, num_classes),
        )
    )


def _block(before: int, after: int, stride: int) -> nn.Module:
    convolution = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(after), nn.ReLU())


if __name__ == "__main__":
    count = sum(parameter.numel() for parameter in make(num_classes=10, in_channels=1).parameters())
    print(f"{count:,} parameters for ten classes of grey images")
