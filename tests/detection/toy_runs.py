"""Detection recipes that train in a blink."""

from dataclasses import replace
from typing import Any

import torch

from decant.detection.data_settings import DetectionDataSettings
from decant.detection.drawn_shapes import CLASSES
from decant.detection.recipe import (
    DetectionRecipe,
    DetectionTeacherSettings,
    DetectionTrainSettings,
    DetectorSettings,
)
from decant.detection.region_methods import RegionDKDSettings
from decant.detection.teacher import DetectionTeacher
from decant.recipe import OneCycle
from detection.toy_detectors import detector

DATA = DetectionDataSettings(name="shapes", drawn_train=8, drawn_test=4)
TRAIN = DetectionTrainSettings(
    epochs=3, epoch_steps=2, batch_size=2, learning_rate=0.02, schedule=OneCycle(), evaluate_every=1
)
TEACHER = DetectionRecipe(
    student=DetectorSettings("fasterrcnn_tiny_wide_fpn"), data=DATA, train=replace(TRAIN, epochs=1), seed=5
)


def recipe(*methods: Any, seed: int = 0, **train: Any) -> DetectionRecipe:
    """A recipe of three epochs of two steps, by dkd unless told otherwise."""
    return DetectionRecipe(
        student=DetectorSettings("fasterrcnn_tiny_fpn"),
        data=DATA,
        teacher=DetectionTeacherSettings(recipe=TEACHER),
        method=methods or (RegionDKDSettings(),),
        train=replace(TRAIN, **train),
        seed=seed,
    )


def alone(**train: Any) -> DetectionRecipe:
    """The same without teacher."""
    return replace(recipe(**train), teacher=None, method=())


def untrained_teacher(seed: int = 9) -> DetectionTeacher:
    """A teacher that took no time to train."""
    network = detector(seed, "fasterrcnn_tiny_wide_fpn", num_classes=len(CLASSES) + 1)
    with torch.no_grad():
        network.roi_heads.box_predictor.cls_score.weight.mul_(20)
    return DetectionTeacher(network.eval().requires_grad_(False), "tiny", CLASSES, f"{seed:x}", None)
