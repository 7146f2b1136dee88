"""Two-stage detectors by name: Faster R-CNN with a feature pyramid, on the paper's backbones and on tiny ones."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn
from torchvision.models import mobilenet_v2, mobilenet_v3_large, resnet18, resnet34, resnet50, resnet101
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.ops import FrozenBatchNorm2d, MultiScaleRoIAlign

from decant.detection.tiny_backbone import TinyBackbone
from decant.models import load_weights

ASPECTS = (0.5, 1.0, 2.0)


@dataclass(frozen=True)
class Backbone:
    """A network with feature maps, and the pyramid on top of it.

    Attributes:
        build: makes the network; takes ``norm_layer``.
        stages: module path of each map inside ``features``, finest first.
        channels: channels of each map.
        features: the part of the network that has the maps; "" for the network itself.
        frozen: beginnings of the names of parameters that stay as they are where the network comes trained.
        width: channels of the pyramid.
    """

    build: Callable[..., nn.Module]
    stages: tuple[str, ...]
    channels: tuple[int, ...]
    features: str = ""
    frozen: tuple[str, ...] = ()
    width: int = 256


def _resnet(build: Callable[..., nn.Module], expansion: int) -> Backbone:
    channels = tuple(expansion * width for width in (64, 128, 256, 512))
    return Backbone(build, ("layer1", "layer2", "layer3", "layer4"), channels, frozen=("conv1.", "bn1.", "layer1."))


def _tiny(width: int) -> Backbone:
    channels = (width, 2 * width, 4 * width)
    return Backbone(partial(TinyBackbone, width), ("stage1", "stage2", "stage3"), channels, width=2 * width)


_PAPER: dict[str, Backbone] = {
    "resnet18": _resnet(resnet18, 1),
    "resnet34": _resnet(resnet34, 1),
    "resnet50": _resnet(resnet50, 4),
    "resnet101": _resnet(resnet101, 4),
    # The last block of each resolution; the widening convolution behind them is left out, as in the paper's student.
    "mobilenet_v2": Backbone(mobilenet_v2, ("3", "6", "13", "17"), (24, 32, 96, 320), features="features"),
    "mobilenet_v3_large": Backbone(mobilenet_v3_large, ("3", "6", "12", "15"), (24, 40, 112, 160), features="features"),
}
_TINY: dict[str, Backbone] = {"tiny": _tiny(8), "tiny_wide": _tiny(16)}
# Small enough for a CPU: pictures of 64 to 128 pixels, objects of 8 to 128.
_TINY_SETTINGS: dict[str, Any] = {
    "min_size": 64,
    "max_size": 128,
    "rpn_pre_nms_top_n_train": 200,
    "rpn_pre_nms_top_n_test": 200,
    "rpn_post_nms_top_n_train": 100,
    "rpn_post_nms_top_n_test": 100,
    "rpn_batch_size_per_image": 64,
    "box_batch_size_per_image": 64,
    "box_detections_per_img": 50,
}

BACKBONES: dict[str, Backbone] = {f"fasterrcnn_{name}_fpn": backbone for name, backbone in (_PAPER | _TINY).items()}
"""What the detector of each name stands on."""
DETECTORS = tuple(BACKBONES)
"""The names of all detectors."""


def create_detector(
    name: str, *, num_classes: int, trained_backbone: Mapping[str, Tensor] | None = None, **settings: Any
) -> FasterRCNN:
    """A Faster R-CNN with a feature pyramid.

    With a trained backbone its BatchNorms are frozen, as is usual for small batches, and in ResNets the stem and the
    first stage too; without, BatchNorms learn like everything else.

    Args:
        name: one of ``DETECTORS``.
        num_classes: classes with the background, which is class 0.
        trained_backbone: state dict of torchvision's classification network of that name.
        settings: what torchvision's ``FasterRCNN`` takes, such as ``min_size`` and ``max_size`` (800 and 1333).

    Raises:
        ValueError: an unknown name, fewer than 2 classes, or weights that do not fit.

    >>> detector = create_detector("fasterrcnn_tiny_fpn", num_classes=4)
    >>> sum(parameter.numel() for parameter in detector.parameters())
    60491
    """
    require_detector_name(name)
    if num_classes < 2:
        raise ValueError(f"num_classes counts the background too and is at least 2, got {num_classes}")
    kind = BACKBONES[name]
    network = kind.build(norm_layer=nn.BatchNorm2d if trained_backbone is None else FrozenBatchNorm2d)
    if trained_backbone is not None:
        counters = "num_batches_tracked"  # frozen BatchNorms have none
        load_weights(network, {key: value for key, value in trained_backbone.items() if not key.endswith(counters)})
        for key, parameter in network.named_parameters():
            parameter.requires_grad_(not key.startswith(kind.frozen))
    body = network.get_submodule(kind.features) if kind.features else network
    maps = {stage: str(number) for number, stage in enumerate(kind.stages)}
    backbone = BackboneWithFPN(body, maps, list(kind.channels), kind.width)
    if name.removeprefix("fasterrcnn_").removesuffix("_fpn") in _TINY:
        return _tiny_detector(backbone, num_classes, {**_TINY_SETTINGS, **settings})
    return FasterRCNN(backbone, num_classes, **settings)


def require_detector_name(name: str) -> None:
    """Raise ValueError unless there is a detector of that name."""
    if name not in BACKBONES:
        near = difflib.get_close_matches(name, BACKBONES, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(BACKBONES)}"
        raise ValueError(f"there is no detector {name!r}; {hint}")


def _tiny_detector(backbone: Any, num_classes: int, settings: dict[str, Any]) -> FasterRCNN:
    sizes = ((8,), (16,), (32,), (64,))
    head = TwoMLPHead(backbone.out_channels * 5 * 5, 64)
    return FasterRCNN(
        backbone,
        rpn_anchor_generator=AnchorGenerator(sizes, (ASPECTS,) * len(sizes)),
        box_roi_pool=MultiScaleRoIAlign(["0", "1", "2"], output_size=5, sampling_ratio=2),
        box_head=head,
        box_predictor=FastRCNNPredictor(64, num_classes),
        **settings,
    )
