"""Networks that return logits, features of any network by module path, and published weights."""

from decant.models.collections import (
    COLLECTIONS,
    LogitsAlone,
    Option,
    Preprocessing,
    build_network,
    classes_of,
    network_of_config,
    preprocessing_of,
    require_contained_network,
    require_known_network,
)
from decant.models.fold import Folded, fold_batchnorm
from decant.models.head import classifier_of
from decant.models.network import ZooNetwork
from decant.models.taps import Tapped
from decant.models.unlike import (
    AveragedTeachers,
    ClassMap,
    FoldedClasses,
    Resighted,
    Sight,
    folded_classes,
    map_classes,
    resighted,
)
from decant.models.weights import load_all_but_head, load_weights
from decant.models.zoo import IMAGENET, TINY, ZOO, create, require_network

__all__ = [
    "COLLECTIONS",
    "IMAGENET",
    "TINY",
    "ZOO",
    "AveragedTeachers",
    "ClassMap",
    "Folded",
    "FoldedClasses",
    "LogitsAlone",
    "Option",
    "Preprocessing",
    "Resighted",
    "Sight",
    "Tapped",
    "ZooNetwork",
    "build_network",
    "classes_of",
    "classifier_of",
    "create",
    "fold_batchnorm",
    "folded_classes",
    "load_all_but_head",
    "load_weights",
    "map_classes",
    "network_of_config",
    "preprocessing_of",
    "require_contained_network",
    "require_known_network",
    "require_network",
    "resighted",
]
