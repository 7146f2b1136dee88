"""Methods: which tensors meet which equation, and with what weight. One file each."""

from decant.interfaces import MethodSettings
from decant.methods.at import AT, ATSettings
from decant.methods.composed import Composed, ComposedSettings
from decant.methods.crd import CRD, CRDSettings
from decant.methods.dist import DIST, DISTSettings
from decant.methods.dkd import DKD, DKDSettings
from decant.methods.fitnet import FitNet, FitNetSettings
from decant.methods.gdkd import GDKD, GDKDSettings
from decant.methods.kd import KD, KDSettings
from decant.methods.kdsvd import KDSVD, KDSVDSettings
from decant.methods.luminet import LumiNet, LumiNetSettings
from decant.methods.nckd import NCKD, NCKDSettings
from decant.methods.nd import ND, NDSettings
from decant.methods.nkd import NKD, NKDSettings
from decant.methods.nst import NST, NSTSettings
from decant.methods.ofd import OFD, OFDSettings
from decant.methods.pkt import PKT, PKTSettings
from decant.methods.reviewkd import ReviewKD, ReviewKDSettings
from decant.methods.rkd import RKD, RKDSettings
from decant.methods.rld import RLD, RLDSettings
from decant.methods.sp import SP, SPSettings
from decant.methods.supervised import Supervised, SupervisedSettings
from decant.methods.total import weighted_total
from decant.methods.ttm import TTM, TTMSettings
from decant.methods.vid import VID, VIDSettings

METHODS: dict[str, type[MethodSettings]] = {
    "supervised": SupervisedSettings,
    "kd": KDSettings,
    "fitnet": FitNetSettings,
    "at": ATSettings,
    "nst": NSTSettings,
    "pkt": PKTSettings,
    "kdsvd": KDSVDSettings,
    "ofd": OFDSettings,
    "rkd": RKDSettings,
    "vid": VIDSettings,
    "sp": SPSettings,
    "crd": CRDSettings,
    "reviewkd": ReviewKDSettings,
    "dkd": DKDSettings,
    "nckd": NCKDSettings,
    "dist": DISTSettings,
    "nkd": NKDSettings,
    "luminet": LumiNetSettings,
    "ttm": TTMSettings,
    "rld": RLDSettings,
    "gdkd": GDKDSettings,
    "nd": NDSettings,
}
"""Every method by the name that a recipe gives it."""

__all__ = [
    "AT",
    "CRD",
    "DIST",
    "DKD",
    "GDKD",
    "KD",
    "KDSVD",
    "METHODS",
    "NCKD",
    "ND",
    "NKD",
    "NST",
    "OFD",
    "PKT",
    "RKD",
    "RLD",
    "SP",
    "TTM",
    "VID",
    "ATSettings",
    "CRDSettings",
    "Composed",
    "ComposedSettings",
    "DISTSettings",
    "DKDSettings",
    "FitNet",
    "FitNetSettings",
    "GDKDSettings",
    "KDSVDSettings",
    "KDSettings",
    "LumiNet",
    "LumiNetSettings",
    "NCKDSettings",
    "NDSettings",
    "NKDSettings",
    "NSTSettings",
    "OFDSettings",
    "PKTSettings",
    "RKDSettings",
    "RLDSettings",
    "ReviewKD",
    "ReviewKDSettings",
    "SPSettings",
    "Supervised",
    "SupervisedSettings",
    "TTMSettings",
    "VIDSettings",
    "weighted_total",
]
