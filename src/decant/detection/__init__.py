"""Distilling two-stage detectors of torchvision: a student learns from the regions that it samples."""

from decant.detection.builders import DETECTORS, create_detector
from decant.detection.class_map import ClassMap
from decant.detection.coco_format import read_coco
from decant.detection.distiller import DetectionLoss, RCNNDistiller
from decant.detection.drawn_shapes import draw_shapes
from decant.detection.evaluation import DetectionScore, evaluate_detector
from decant.detection.method import DetectionMethod, DetectionMethodSettings, Level
from decant.detection.methods import DETECTION_METHODS
from decant.detection.picture_set import Objects, PictureSet
from decant.detection.pyramid_methods import PyramidFitNetSettings, PyramidReviewKDSettings
from decant.detection.region_methods import RegionDKDSettings, RegionKDSettings
from decant.detection.voc_format import read_voc

__all__ = [
    "DETECTION_METHODS",
    "DETECTORS",
    "ClassMap",
    "DetectionLoss",
    "DetectionMethod",
    "DetectionMethodSettings",
    "DetectionScore",
    "Level",
    "Objects",
    "PictureSet",
    "PyramidFitNetSettings",
    "PyramidReviewKDSettings",
    "RCNNDistiller",
    "RegionDKDSettings",
    "RegionKDSettings",
    "create_detector",
    "draw_shapes",
    "evaluate_detector",
    "read_coco",
    "read_voc",
]
