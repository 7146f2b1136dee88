"""Distilling two-stage detectors of torchvision: a student learns from the regions that it samples."""

from decant.detection.builders import DETECTORS, create_detector
from decant.detection.class_map import ClassMap
from decant.detection.distiller import DetectionLoss, RCNNDistiller
from decant.detection.method import DetectionMethod, DetectionMethodSettings, Level
from decant.detection.methods import DETECTION_METHODS
from decant.detection.pyramid_methods import PyramidFitNetSettings, PyramidReviewKDSettings
from decant.detection.region_methods import RegionDKDSettings, RegionKDSettings

__all__ = [
    "DETECTION_METHODS",
    "DETECTORS",
    "ClassMap",
    "DetectionLoss",
    "DetectionMethod",
    "DetectionMethodSettings",
    "Level",
    "PyramidFitNetSettings",
    "PyramidReviewKDSettings",
    "RCNNDistiller",
    "RegionDKDSettings",
    "RegionKDSettings",
    "create_detector",
]
