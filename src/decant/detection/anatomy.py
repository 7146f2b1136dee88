"""What two detectors are like: their pyramids' levels and strides, and the number of classes of their heads."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from decant.detection.method import Level
from decant.detection.observe import pyramid

_PIXELS = 128


@dataclass(frozen=True)
class Anatomy:
    """A detector by what it gives.

    Attributes:
        strides: level -> pixels of the image per position of its map, in the pyramid's order.
        channels: level -> channels of its map.
        classes: number of classes of its box head, background included.
    """

    strides: Mapping[str, int]
    channels: Mapping[str, int]
    classes: int


def anatomy(detector: Any) -> Anatomy:
    """Found by a dry pass over an empty picture, which leaves the detector as it was, BatchNorm statistics included."""
    parameter = next(detector.parameters())
    modes = {module: module.training for module in detector.modules()}
    # On a copy: the pool keeps the scales of the first pyramid that it sees.
    pool = copy.deepcopy(detector.roi_heads.box_roi_pool)
    detector.eval()
    try:
        with torch.no_grad():
            images = torch.zeros(1, 3, _PIXELS, _PIXELS, dtype=parameter.dtype, device=parameter.device)
            levels = pyramid(detector, images)
            box = images.new_tensor([[0.0, 0.0, _PIXELS / 2, _PIXELS / 2]])
            features = detector.roi_heads.box_head(pool(dict(levels), [box], [(_PIXELS, _PIXELS)]))
            logits = detector.roi_heads.box_predictor(features)[0]
    finally:
        for module, mode in modes.items():
            module.training = mode
    return Anatomy(
        strides={name: round(_PIXELS / level.shape[-1]) for name, level in levels.items()},
        channels={name: level.shape[1] for name, level in levels.items()},
        classes=logits.shape[1],
    )


def common_levels(student: Anatomy, teacher: Anatomy) -> tuple[Level, ...]:
    """The levels that both pyramids have, paired by stride, finest first; may be none.

    Of several levels of one stride the last counts, which has seen the most of the image.

    >>> ours = Anatomy({"0": 4, "pool": 8}, {"0": 16, "pool": 16}, 3)
    >>> theirs = Anatomy({"0": 8, "1": 16}, {"0": 64, "1": 64}, 3)
    >>> [(level.tap, level.student, level.teacher) for level in common_levels(ours, theirs)]
    [('stride8', 'pool', '0')]
    """
    ours, theirs = ({stride: name for name, stride in kind.strides.items()} for kind in (student, teacher))
    return tuple(
        Level(stride, ours[stride], theirs[stride], student.channels[ours[stride]], teacher.channels[theirs[stride]])
        for stride in sorted(ours.keys() & theirs.keys())
    )


def sizes_remark(student: nn.Module, teacher: nn.Module) -> str | None:
    """What to warn of where the two detectors were made for pictures of other sizes; None where they were not."""
    ours, theirs = (
        (tuple(detector.transform.min_size)[-1], detector.transform.max_size)  # type: ignore[union-attr, arg-type]
        for detector in (student, teacher)
    )
    if ours == theirs:
        return None
    return (
        "the teacher sees the pictures as the student resizes them, to a shorter side of {} and a longer one of at "
        "most {} pixels, but was made for {} and {}".format(*ours, *theirs)
    )
