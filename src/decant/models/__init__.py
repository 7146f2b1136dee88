"""Networks that return logits, features of any network by module path, and published weights."""

from decant.models.fold import Folded, fold_batchnorm
from decant.models.network import ZooNetwork
from decant.models.taps import Tapped
from decant.models.weights import load_weights
from decant.models.zoo import TINY, ZOO, create, require_network

__all__ = [
    "TINY",
    "ZOO",
    "Folded",
    "Tapped",
    "ZooNetwork",
    "create",
    "fold_batchnorm",
    "load_weights",
    "require_network",
]
