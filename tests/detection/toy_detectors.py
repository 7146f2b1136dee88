"""Detectors and pictures small enough for a step in a blink."""

from typing import Any

import torch
from torch import Tensor, nn

from decant.detection import RCNNDistiller, create_detector

CLASSES = 4


def detector(seed: int, name: str = "fasterrcnn_tiny_fpn", **settings: Any) -> Any:
    """A detector of four classes with the background; no other random state is touched."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return create_detector(name, **{"num_classes": CLASSES, **settings})


def student() -> Any:
    """An untrained student, always the same one."""
    return detector(1)


def teacher() -> Any:
    """A wider one that disagrees with it."""
    made = detector(2, "fasterrcnn_tiny_wide_fpn")
    with torch.no_grad():
        made.roi_heads.box_predictor.cls_score.weight.mul_(20)
    return made


def pictures(seed: int = 0) -> tuple[list[Tensor], list[dict[str, Tensor]]]:
    """Three pictures of different sizes with two, one and no objects."""
    generator = torch.Generator().manual_seed(seed)
    images = [torch.rand(3, *size, generator=generator) for size in ((64, 96), (80, 64), (64, 64))]
    boxes = [[[8.0, 8.0, 40.0, 40.0], [30.0, 4.0, 90.0, 60.0]], [[10.0, 20.0, 50.0, 70.0]], []]
    labels = [[1, 3], [2], []]
    return images, [
        {"boxes": torch.tensor(own).reshape(-1, 4), "labels": torch.tensor(names, dtype=torch.int64)}
        for own, names in zip(boxes, labels, strict=True)
    ]


def frozen_statistics(network: nn.Module) -> None:
    """BatchNorm as in evaluation while the rest trains: the network then says what it says in eval mode."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def step(distiller: RCNNDistiller, seed: int = 0) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss and terms of one step, its regions drawn from ``seed``."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        loss, terms = distiller(*pictures(seed), epoch=0.0)
    return loss, terms
