"""Methods: which tensors meet which equation, and with what weight. One file each."""

from decant.interfaces import MethodSettings
from decant.methods.at import AT, ATSettings
from decant.methods.bernoulli import (
    MULTILABEL_METHODS,
    Bernoulli,
    BernoulliDKD,
    BernoulliDKDSettings,
    BernoulliKD,
    BernoulliKDSettings,
    BernoulliSettings,
)
from decant.methods.composed import Composed, ComposedSettings
from decant.methods.crd import CRD, CRDSettings
from decant.methods.crld import CRLD, CRLDSettings
from decant.methods.ctkd import CTKD, CTKDSettings
from decant.methods.dist import DIST, DISTSettings
from decant.methods.dkd import DKD, DKDSettings
from decant.methods.fitnet import FitNet, FitNetSettings
from decant.methods.gdkd import GDKD, GDKDSettings
from decant.methods.kd import KD, KDSettings
from decant.methods.kdsvd import KDSVD, KDSVDSettings
from decant.methods.luminet import LumiNet, LumiNetSettings
from decant.methods.mlkd import MLKD, MLKDSettings
from decant.methods.nckd import NCKD, NCKDSettings
from decant.methods.nd import ND, NDSettings
from decant.methods.nkd import NKD, NKDSettings
from decant.methods.nst import NST, NSTSettings
from decant.methods.ofd import OFD, OFDSettings
from decant.methods.parts import with_parts
from decant.methods.pkt import PKT, PKTSettings
from decant.methods.reviewkd import ReviewKD, ReviewKDSettings
from decant.methods.rkd import RKD, RKDSettings
from decant.methods.rld import RLD, RLDSettings
from decant.methods.sdd import SDD, SDDSettings
from decant.methods.simkd import SimKD, SimKDSettings
from decant.methods.source import Source
from decant.methods.sp import SP, SPSettings
from decant.methods.supervised import Supervised, SupervisedSettings
from decant.methods.task import hard_loss, taught_target
from decant.methods.total import divided_total, weighted_total
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
    "mlkd": MLKDSettings,
    "crld": CRLDSettings,
    "ctkd": CTKDSettings,
    "sdd": SDDSettings,
    "simkd": SimKDSettings,
}
"""Every method by the name that a recipe gives it."""

__all__ = [
    "AT",
    "CRD",
    "CRLD",
    "CTKD",
    "DIST",
    "DKD",
    "GDKD",
    "KD",
    "KDSVD",
    "METHODS",
    "MLKD",
    "MULTILABEL_METHODS",
    "NCKD",
    "ND",
    "NKD",
    "NST",
    "OFD",
    "PKT",
    "RKD",
    "RLD",
    "SDD",
    "SP",
    "TTM",
    "VID",
    "ATSettings",
    "Bernoulli",
    "BernoulliDKD",
    "BernoulliDKDSettings",
    "BernoulliKD",
    "BernoulliKDSettings",
    "BernoulliSettings",
    "CRDSettings",
    "CRLDSettings",
    "CTKDSettings",
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
    "MLKDSettings",
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
    "SDDSettings",
    "SPSettings",
    "SimKD",
    "SimKDSettings",
    "Source",
    "Supervised",
    "SupervisedSettings",
    "TTMSettings",
    "VIDSettings",
    "divided_total",
    "hard_loss",
    "taught_target",
    "weighted_total",
    "with_parts",
]
