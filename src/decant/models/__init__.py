"""Networks that return logits, features of any network by module path, and published weights."""

from decant.models.network import ZooNetwork
from decant.models.taps import Tapped
from decant.models.weights import load_weights
from decant.models.zoo import TINY, ZOO, create, require_network

__all__ = ["TINY", "ZOO", "Tapped", "ZooNetwork", "create", "load_weights", "require_network"]
