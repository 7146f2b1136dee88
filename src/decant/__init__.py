"""Decant: knowledge distillation for PyTorch, built around Decoupled Knowledge Distillation."""

from decant.engine import Distillation, Distilled, Distiller, LoadedStudent, distill, load_student
from decant.interfaces import Batch, BuildContext, DataFacts, Method, MethodSettings, Outputs, Shapes
from decant.losses import DKDTerms, chunked_linear_dkd_loss, dkd_loss, dkd_terms, kd_loss
from decant.methods import METHODS, DKDSettings, KDSettings, SupervisedSettings
from decant.models import Tapped

__version__ = "0.1.0.dev0"

__all__ = [
    "METHODS",
    "Batch",
    "BuildContext",
    "DKDSettings",
    "DKDTerms",
    "DataFacts",
    "Distillation",
    "Distilled",
    "Distiller",
    "KDSettings",
    "LoadedStudent",
    "Method",
    "MethodSettings",
    "Outputs",
    "Shapes",
    "SupervisedSettings",
    "Tapped",
    "chunked_linear_dkd_loss",
    "distill",
    "dkd_loss",
    "dkd_terms",
    "kd_loss",
    "load_student",
]
