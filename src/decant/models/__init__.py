"""Networks that return logits, features of any network by module path, and published weights."""

from decant.models.collections import (
    COLLECTIONS,
    Option,
    Preprocessing,
    build_network,
    classes_of,
    preprocessing_of,
    require_known_network,
)
from decant.models.fold import Folded, fold_batchnorm
from decant.models.network import ZooNetwork
from decant.models.taps import Tapped
from decant.models.weights import load_all_but_head, load_weights
from decant.models.zoo import TINY, ZOO, create, require_network

__all__ = [
    "COLLECTIONS",
    "TINY",
    "ZOO",
    "Folded",
    "Option",
    "Preprocessing",
    "Tapped",
    "ZooNetwork",
    "build_network",
    "classes_of",
    "create",
    "fold_batchnorm",
    "load_all_but_head",
    "load_weights",
    "preprocessing_of",
    "require_known_network",
    "require_network",
]
