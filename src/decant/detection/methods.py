"""Every method for detectors, by the name that a recipe gives it."""

from decant.detection.method import DetectionMethodSettings
from decant.detection.pyramid_methods import PyramidFitNetSettings, PyramidReviewKDSettings
from decant.detection.region_methods import RegionDKDSettings, RegionKDSettings

DETECTION_METHODS: dict[str, type[DetectionMethodSettings]] = {
    "kd": RegionKDSettings,
    "dkd": RegionDKDSettings,
    "fitnet": PyramidFitNetSettings,
    "reviewkd": PyramidReviewKDSettings,
}
