"""The networks by name."""

import difflib
from functools import partial
from typing import Protocol

from decant.models.digits import DigitsNet
from decant.models.imagenet_resnet import BasicBlock, Bottleneck, ImageNetResNet
from decant.models.mobilenet_v1 import MobileNetV1
from decant.models.mobilenet_v2 import MobileNetV2
from decant.models.network import ZooNetwork
from decant.models.resnet import ResNet
from decant.models.shufflenet_v1 import ShuffleNetV1
from decant.models.shufflenet_v2 import ShuffleNetV2
from decant.models.vgg import VGG
from decant.models.wide_resnet import WideResNet


class Builder(Protocol):
    """What makes a network of the zoo."""

    def __call__(self, *, num_classes: int = ..., in_channels: int = ...) -> ZooNetwork: ...


ZOO: dict[str, Builder] = {
    "resnet8": partial(ResNet, depth=8, widths=(16, 16, 32, 64)),
    "resnet14": partial(ResNet, depth=14, widths=(16, 16, 32, 64)),
    "resnet20": partial(ResNet, depth=20, widths=(16, 16, 32, 64)),
    "resnet32": partial(ResNet, depth=32, widths=(16, 16, 32, 64)),
    "resnet44": partial(ResNet, depth=44, widths=(16, 16, 32, 64)),
    "resnet56": partial(ResNet, depth=56, widths=(16, 16, 32, 64)),
    "resnet110": partial(ResNet, depth=110, widths=(16, 16, 32, 64)),
    "resnet8x4": partial(ResNet, depth=8, widths=(32, 64, 128, 256)),
    "resnet32x4": partial(ResNet, depth=32, widths=(32, 64, 128, 256)),
    "wrn_16_1": partial(WideResNet, depth=16, widen=1),
    "wrn_16_2": partial(WideResNet, depth=16, widen=2),
    "wrn_40_1": partial(WideResNet, depth=40, widen=1),
    "wrn_40_2": partial(WideResNet, depth=40, widen=2),
    "vgg8": partial(VGG, convolutions=(1, 1, 1, 1, 1)),
    "vgg11": partial(VGG, convolutions=(1, 1, 2, 2, 2)),
    "vgg13": partial(VGG, convolutions=(2, 2, 2, 2, 2)),
    "vgg16": partial(VGG, convolutions=(2, 2, 3, 3, 3)),
    "vgg19": partial(VGG, convolutions=(2, 2, 4, 4, 4)),
    "ResNet18": partial(ImageNetResNet, block=BasicBlock, blocks=(2, 2, 2, 2)),
    "ResNet50": partial(ImageNetResNet, block=Bottleneck, blocks=(3, 4, 6, 3)),
    "MobileNetV2": MobileNetV2,
    "ShuffleNetV1": ShuffleNetV1,
    "ShuffleNetV2": ShuffleNetV2,
}
"""The networks of the CIFAR-100 distillation protocol: 32x32 images of 3 channels."""

IMAGENET: dict[str, Builder] = {"MobileNetV1": MobileNetV1}
"""Networks of the ImageNet distillation protocol, 224x224 images of 3 channels, that torchvision does not have."""

TINY: dict[str, Builder] = {
    "digits_teacher": partial(DigitsNet, widths=(16, 32, 64), convolutions=2),
    "digits_student": partial(DigitsNet, widths=(8, 16, 16), convolutions=1),
}
"""Networks for 8x8 images of 1 channel that train in seconds."""


def require_network(name: str) -> None:
    """Raise ValueError with the nearest names unless ``create`` knows the name."""
    lowered = {known.lower(): known for known in ZOO | IMAGENET | TINY}
    if name not in lowered.values():
        near = [lowered[match] for match in difflib.get_close_matches(name.lower(), lowered, n=3, cutoff=0.4)]
        raise ValueError(f"no network is named {name!r}; nearest: {', '.join(near or lowered.values())}")


def create(name: str, *, num_classes: int = 100, in_channels: int | None = None) -> ZooNetwork:
    """A freshly initialised network by its name in ``ZOO``, ``IMAGENET`` or ``TINY``: images to logits (N, C).

    Args:
        name: e.g. "resnet20".
        num_classes: C, at least 1.
        in_channels: channels of the images, at least 1; None for what the network was made for (3, or 1 for digits).

    Raises:
        ValueError: there is no network of that name, or a count is below 1.

    >>> network = create("resnet20", num_classes=10)
    >>> list(network.taps)
    ['stage0', 'stage1', 'stage1.pre', 'stage2', 'stage2.pre', 'stage3', 'stage3.pre', 'map', 'pooled']
    """
    require_network(name)
    counts = (
        {"num_classes": num_classes}
        if in_channels is None
        else {"num_classes": num_classes, "in_channels": in_channels}
    )
    for what, count in counts.items():
        if count < 1:
            raise ValueError(f"{what} must be at least 1, got {count}")
    return (ZOO | IMAGENET | TINY)[name](**counts)
