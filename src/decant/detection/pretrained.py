"""Trained weights of torchvision's, from a folder, or fetched into it where that was asked for."""

import difflib
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models import get_model, get_model_weights

from decant.models import load_weights

_COCO = "COCO_V1"
# Trained with an epsilon of 0 in their frozen BatchNorms.
_WITHOUT_EPSILON = {"fasterrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn"}
_TWO_STAGES = ("fasterrcnn", "maskrcnn", "keypointrcnn")


def trained_backbone(detector: str, weights: str, folder: Path, *, download: bool) -> dict[str, Tensor]:
    """The state dict of a detector's classification network, such as ResNet-18's "IMAGENET1K_V1".

    Raises:
        ValueError: torchvision has no such weights.
        FileNotFoundError: the file is not in the folder, and ``download`` is off.
    """
    name = detector.removeprefix("fasterrcnn_").removesuffix("_fpn")
    if name.startswith("tiny"):
        raise ValueError(f"{detector} has no trained backbone; leave out trained_backbone")
    return _read(_named(name, weights), folder, download)


def torchvision_detector(name: str, folder: Path, *, download: bool) -> tuple[nn.Module, tuple[str, ...]]:
    """One of torchvision's two-stage detectors with its weights for MS-COCO, and its class names with the background.

    Raises:
        ValueError: torchvision has no such detector.
        FileNotFoundError: the file is not in the folder, and ``download`` is off.
    """
    known = [model for model in torchvision.models.list_models() if model.startswith(_TWO_STAGES)]
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known)}"
        raise ValueError(f"torchvision has no two-stage detector {name!r}; {hint}")
    weights = _named(name, _COCO)
    classes = tuple(weights.meta["categories"])
    detector = get_model(name, weights=None, weights_backbone=None, num_classes=len(classes))
    load_weights(detector, _read(weights, folder, download))
    if name in _WITHOUT_EPSILON:
        for module in detector.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = 0.0
    return detector, classes


def _named(model: str, weights: str) -> Any:
    known = get_model_weights(model)
    if weights not in known.__members__:
        raise ValueError(
            f"torchvision has no weights {weights!r} for {model}; there are: {', '.join(known.__members__)}"
        )
    return known[weights]


def _read(weights: Any, folder: Path, download: bool) -> dict[str, Tensor]:
    file = Path(urlparse(weights.url).path).name
    path = folder / file
    if not path.is_file():
        if not download:
            raise FileNotFoundError(
                f"there is no {path}; put {weights.url} there, or allow it to be fetched (--download)"
            )
        folder.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(weights.url, str(path), hash_prefix=path.stem.rpartition("-")[2], progress=False)
    state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return state
