"""Watching a torchvision detector at work: what it proposed, sampled and scored in a step, without running it twice."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

PARTS = ("transform", "backbone", "rpn", "roi_heads")


@dataclass
class Step:
    """What a detector did in one training step; empty until its forward pass is over.

    Attributes:
        images: the batch that the backbone saw (B, 3, H, W): resized, normalised, padded with 0.
        sizes: height and width of each image in it.
        levels: the feature pyramid, name -> map (B, channels, H', W').
        boxes: the sampled regions of each image (R_i, 4), in pixels of ``images``.
        logits: class logits of all sampled regions (R, C), image after image.
        truth: what each image really shows: its ``boxes`` and ``labels``, in pixels of ``images``.
    """

    images: Tensor | None = None
    sizes: list[tuple[int, int]] = field(default_factory=list)
    levels: Mapping[str, Tensor] = field(default_factory=dict)
    boxes: list[Tensor] = field(default_factory=list)
    logits: Tensor | None = None
    truth: list[dict[str, Tensor]] = field(default_factory=list)


def require_detector(detector: nn.Module, role: str) -> None:
    """Raise TypeError unless this is a two-stage detector with a box head, as torchvision builds them."""
    heads = getattr(detector, "roi_heads", None)
    missing = [part for part in PARTS if not isinstance(getattr(detector, part, None), nn.Module)]
    missing += [
        f"roi_heads.{part}"
        for part in ("box_roi_pool", "box_head", "box_predictor")
        if heads is not None and not isinstance(getattr(heads, part, None), nn.Module)
    ]
    if missing:
        raise TypeError(
            f"{role} must be a two-stage detector such as torchvision's FasterRCNN or MaskRCNN; "
            f"{type(detector).__name__} has no {', '.join(missing)}"
        )


@contextmanager
def observed(detector: Any) -> Iterator[Step]:
    """Inside, the detector's next forward pass fills the :class:`Step`; afterwards nothing is left on the detector."""
    step = Step()

    def proposing(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        images, step.levels, truth = arguments
        step.images, step.sizes = images.tensors, [(int(height), int(width)) for height, width in images.image_sizes]
        step.truth = list(truth or ())

    def pooling(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        step.boxes = list(arguments[1])

    def scored(module: nn.Module, arguments: tuple[Any, ...], outputs: tuple[Tensor, Tensor]) -> None:
        step.logits = outputs[0]

    handles = [
        detector.rpn.register_forward_pre_hook(proposing),
        detector.roi_heads.box_roi_pool.register_forward_pre_hook(pooling),
        detector.roi_heads.box_predictor.register_forward_hook(scored),
    ]
    try:
        yield step
    finally:
        for handle in handles:
            handle.remove()


def sampled_classes(detector: Any, step: Step) -> Tensor:
    """The class that each sampled region of a step was sampled for (R,), int64; 0 for background.

    The detector matches regions one by one, so that asking it again for those it has sampled gives what it had.
    """
    boxes = [truth["boxes"].to(region.dtype) for truth, region in zip(step.truth, step.boxes, strict=True)]
    labels = [truth["labels"] for truth in step.truth]
    _, classes = detector.roi_heads.assign_targets_to_proposals(step.boxes, boxes, labels)
    return torch.cat(classes)


def region_logits(detector: Any, levels: Mapping[str, Tensor], step: Step) -> Tensor:
    """What this detector's RoI head says of another's sampled regions, on its own feature pyramid: logits (R, C)."""
    heads = detector.roi_heads
    features = heads.box_head(heads.box_roi_pool(dict(levels), step.boxes, step.sizes))
    logits: Tensor = heads.box_predictor(features)[0]
    return logits


def pyramid(detector: Any, images: Tensor) -> Mapping[str, Tensor]:
    """The detector's levels for a batch that is resized and normalised: name -> map (B, channels, H', W')."""
    levels = detector.backbone(images)
    return {"0": levels} if isinstance(levels, Tensor) else levels


def renormalised(images: Tensor, sizes: list[tuple[int, int]], student: Any, teacher: Any) -> Tensor:
    """A batch that the student's transform made (B, 3, H, W), with the teacher's normalisation in place of its own."""
    if (list(student.image_mean), list(student.image_std)) == (list(teacher.image_mean), list(teacher.image_std)):
        return images
    ours, ours_std, theirs, theirs_std = (
        images.new_tensor(values)[:, None, None]
        for values in (student.image_mean, student.image_std, teacher.image_mean, teacher.image_std)
    )
    images = (images * ours_std + ours - theirs) / theirs_std
    for image, (height, width) in zip(images, sizes, strict=True):  # both pad after normalising, with 0
        image[:, height:], image[:, :, width:] = 0, 0
    return images
