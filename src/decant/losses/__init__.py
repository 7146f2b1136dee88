"""The equations of distillation: pure functions of tensors, with nothing to configure and no state."""

from decant.losses.chunked_linear import chunked_linear_dkd_loss
from decant.losses.decoupled import DKDTerms
from decant.losses.dkd import dkd_loss, dkd_terms
from decant.losses.kd import kd_loss

__all__ = ["DKDTerms", "chunked_linear_dkd_loss", "dkd_loss", "dkd_terms", "kd_loss"]
