"""The equations of distillation: pure functions of tensors, with nothing to configure and no state."""

from decant.losses.at import at_loss
from decant.losses.bernoulli import BernoulliDKDTerms, bernoulli_dkd_loss, bernoulli_dkd_terms, bernoulli_kd_loss
from decant.losses.chunked_linear import chunked_linear_dkd_loss
from decant.losses.crd import nce_loss
from decant.losses.crld import CRLDTerms, crld_loss, crld_terms
from decant.losses.decoupled import DKDTerms
from decant.losses.dist import DISTTerms, dist_loss, dist_terms
from decant.losses.dkd import dkd_loss, dkd_terms
from decant.losses.gdkd import GDKDTerms, gdkd_loss, gdkd_terms
from decant.losses.hcl import hcl_loss
from decant.losses.kd import kd_loss
from decant.losses.kdsvd import kdsvd_loss
from decant.losses.luminet import luminet_loss
from decant.losses.mlkd import MLKDTerms, mlkd_loss, mlkd_terms
from decant.losses.nd import nd_loss
from decant.losses.nkd import NKDTerms, nkd_loss, nkd_terms
from decant.losses.nst import nst_loss
from decant.losses.ofd import ofd_loss
from decant.losses.pkt import pkt_loss
from decant.losses.rkd import rkd_loss
from decant.losses.rld import RLDTerms, rld_loss, rld_terms
from decant.losses.sdd import SDDTerms, region_means, sdd_terms
from decant.losses.sp import sp_loss
from decant.losses.standardise import standardise_logits
from decant.losses.ttm import ttm_loss
from decant.losses.vid import vid_loss

__all__ = [
    "BernoulliDKDTerms",
    "CRLDTerms",
    "DISTTerms",
    "DKDTerms",
    "GDKDTerms",
    "MLKDTerms",
    "NKDTerms",
    "RLDTerms",
    "SDDTerms",
    "at_loss",
    "bernoulli_dkd_loss",
    "bernoulli_dkd_terms",
    "bernoulli_kd_loss",
    "chunked_linear_dkd_loss",
    "crld_loss",
    "crld_terms",
    "dist_loss",
    "dist_terms",
    "dkd_loss",
    "dkd_terms",
    "gdkd_loss",
    "gdkd_terms",
    "hcl_loss",
    "kd_loss",
    "kdsvd_loss",
    "luminet_loss",
    "mlkd_loss",
    "mlkd_terms",
    "nce_loss",
    "nd_loss",
    "nkd_loss",
    "nkd_terms",
    "nst_loss",
    "ofd_loss",
    "pkt_loss",
    "region_means",
    "rkd_loss",
    "rld_loss",
    "rld_terms",
    "sdd_terms",
    "sp_loss",
    "standardise_logits",
    "ttm_loss",
    "vid_loss",
]
