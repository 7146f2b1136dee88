"""The equations of distillation: pure functions of tensors, with nothing to configure and no state."""

from decant.losses.dkd import DKDTerms, dkd_loss, dkd_terms
from decant.losses.kd import kd_loss

__all__ = ["DKDTerms", "dkd_loss", "dkd_terms", "kd_loss"]
