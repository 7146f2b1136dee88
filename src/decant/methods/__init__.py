"""Methods: which tensors meet which equation, and with what weight. One file each."""

from decant.interfaces import MethodSettings
from decant.methods.dkd import DKD, DKDSettings
from decant.methods.kd import KD, KDSettings
from decant.methods.supervised import Supervised, SupervisedSettings
from decant.methods.total import weighted_total

METHODS: dict[str, type[MethodSettings]] = {
    "supervised": SupervisedSettings,
    "kd": KDSettings,
    "dkd": DKDSettings,
}
"""Every method by the name that a recipe gives it."""

__all__ = [
    "DKD",
    "KD",
    "METHODS",
    "DKDSettings",
    "KDSettings",
    "Supervised",
    "SupervisedSettings",
    "weighted_total",
]
