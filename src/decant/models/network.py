"""What all networks of the zoo have in common: logits out, named inner stages, and how they start."""

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Mapping, Sequence

from torch import Tensor, nn


class ZooNetwork(nn.Module, ABC):
    """A classifier of small images (N, channels, H, W) that returns logits (N, C) and names its inner stages.

    Attributes:
        taps: tap name -> path in ``named_modules()``. ``stage0`` is the stem and ``stage1`` .. ``stageN`` follow, each
            the last feature of its stage, (N, channels, H, W); ``stageN.pre`` (not for the stem) is the same stage
            before its last ReLU; ``map`` is the last feature map (N, D, H, W), which nothing but its mean is made of;
            ``pooled`` is that mean, the vector (N, D) that the classifier reads.
    """

    taps: Mapping[str, str]

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """The logits (N, C) of images (N, channels, H, W)."""


def stage_taps(stem: str, stages: Sequence[tuple[str, str]], pooled: str = "pool") -> dict[str, str]:
    """The ``taps`` of a network, from the paths of its stem, of (stage, before its last ReLU) pairs and of its pool."""
    taps = {"stage0": stem}
    for number, (after, before) in enumerate(stages, start=1):
        taps[f"stage{number}"] = after
        taps[f"stage{number}.pre"] = before
    return taps | {"map": f"{pooled}.map", "pooled": pooled}


def global_average_pool() -> nn.Sequential:
    """(N, D, H, W) -> (N, D): the mean over all positions, as modules so that the vector and the map have paths."""
    return nn.Sequential(OrderedDict(map=nn.Identity(), mean=nn.AdaptiveAvgPool2d(1), vector=nn.Flatten()))


def initialise_convolutions(network: nn.Module) -> None:
    """Weights of every convolution from N(0, 2 / (kernel height x kernel width x output channels)), biases 0.

    Source: He et al., "Delving Deep into Rectifiers", arXiv:1502.01852, the variant that preserves gradients.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def initialise_classifier(classifier: nn.Linear) -> None:
    """Weights of a classifier from N(0, 0.01^2), biases 0, so that training starts from nearly uniform predictions."""
    nn.init.normal_(classifier.weight, std=0.01)
    nn.init.zeros_(classifier.bias)
