"""What papers report on the CIFAR-100 protocol: published numbers, none of them ours.

Top-1 in percent on the test images, by pair of networks and method. The protocol's tables report the best test epoch,
of one run or the mean of up to five, which is about 0.3 points above the last epoch.
"""

from collections.abc import Iterable, Mapping

PROTOCOLS = ("cifar100",)
"""Suites whose runs are what these numbers are of."""

ROUNDING_ONLY = (
    "train.compile",
    "train.channels_last",
    "train.teacher_cache",
    "train.teacher_cache_type",
    "train.checkpoint_every",
    "train.checkpoint_steps",
)
"""Settings that make a run faster or safer and change its numbers by rounding alone: it stays one of the protocol."""


def is_protocol(suite: str, changes: Iterable[str]) -> bool:
    """Whether runs of this suite, with these ``KEY=VALUE`` changes, may stand beside published numbers.

    Example:
        >>> is_protocol("cifar100", ["train.compile=true"]), is_protocol("cifar100", ["train.epochs=10"])
        (True, False)
    """
    keys = (change.partition("=")[0].strip().removeprefix("teacher.recipe.") for change in changes)
    return suite in PROTOCOLS and all(key in ROUNDING_ONLY for key in keys)


TEACHER = "teacher"

_COLUMNS = (TEACHER, "supervised", "kd", "fitnet", "rkd", "crd", "reviewkd", "dkd")
# The tables of DKD's paper (arXiv:2203.08679).
_ROWS = {
    "resnet56-resnet20": (72.34, 69.06, 70.66, 69.21, 69.61, 71.16, 71.89, 71.97),
    "resnet110-resnet32": (74.31, 71.14, 73.08, 71.06, 71.82, 73.48, 73.89, 74.11),
    "resnet32x4-resnet8x4": (79.42, 72.50, 73.33, 73.50, 71.90, 75.51, 75.63, 76.32),
    "wrn_40_2-wrn_16_2": (75.61, 73.26, 74.92, 73.58, 73.35, 75.48, 76.12, 76.24),
    "wrn_40_2-wrn_40_1": (75.61, 71.98, 73.54, 72.24, 72.22, 74.14, 75.09, 74.81),
    "vgg13-vgg8": (74.64, 70.36, 72.98, 71.02, 71.48, 73.94, 74.84, 74.68),
    "resnet32x4-ShuffleNetV1": (79.42, 70.50, 74.07, 73.59, 72.28, 75.11, 77.45, 76.45),
    "wrn_40_2-ShuffleNetV1": (75.61, 70.50, 74.83, 73.73, 72.21, 76.05, 77.14, 76.70),
    "vgg13-MobileNetV2": (74.64, 64.60, 67.37, 64.14, 64.52, 69.73, 70.37, 69.71),
    "ResNet50-MobileNetV2": (79.34, 64.60, 67.35, 63.16, 64.43, 69.11, 69.89, 70.35),
    "resnet32x4-ShuffleNetV2": (79.42, 71.82, 74.45, 73.54, 73.21, 75.65, 77.78, 77.07),
}
# From the papers of these methods, on the one pair that all of them report.
_LATER = {
    "dist": 76.31,  # arXiv:2205.10536
    "kd-standardised": 76.62,  # arXiv:2403.01427
    "dkd-standardised": 77.01,  # arXiv:2403.01427
    "ttm": 76.06,  # arXiv:2402.11148
    "luminet": 77.50,  # arXiv:2310.03669
    "rld": 76.64,  # arXiv:2408.07703
}

PUBLISHED: Mapping[str, Mapping[str, float]] = {
    pair: dict(zip(_COLUMNS, row, strict=True)) | (_LATER if pair == "resnet32x4-resnet8x4" else {})
    for pair, row in _ROWS.items()
}
"""Pair of networks -> method (or ``teacher``) -> published top-1, in percent."""
