"""The reference implementation (github.com/megvii-research/mdistiller), imported from a checkout; nothing is copied.

Its packages import some modules that a measurement never calls: a logger, a progress bar, a configuration reader.
Where those are not installed, an empty module stands in for them.
"""

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

# Module -> the names that are imported from it.
_NEVER_CALLED = {"tensorboardX": ("SummaryWriter",), "tqdm": ("tqdm",), "yacs": (), "yacs.config": ("CfgNode",)}


class Reference:
    """Networks, methods and data of a checkout.

    Args:
        checkout: its folder.

    Raises:
        FileNotFoundError: the folder holds no checkout.
    """

    def __init__(self, checkout: Path) -> None:
        if not (checkout / "mdistiller" / "distillers").is_dir():
            raise FileNotFoundError(
                f"--reference {checkout}: expected a checkout of github.com/megvii-research/mdistiller, with a folder "
                "mdistiller/distillers in it"
            )
        with _importable(checkout):
            self._networks = importlib.import_module("mdistiller.models").cifar_model_dict
            self._methods = importlib.import_module("mdistiller.distillers").distiller_dict
            self._data = importlib.import_module("mdistiller.dataset.cifar100")
            self.bookkeeping: Any = importlib.import_module("mdistiller.engine.utils")
            self.dkd_loss: Any = importlib.import_module("mdistiller.distillers.DKD").dkd_loss

    def network(self, name: str) -> nn.Module:
        """A network over 100 classes, with random weights."""
        build, _ = self._networks[name]
        network: nn.Module = build(num_classes=100)
        return network

    def dkd(self, student: nn.Module, teacher: nn.Module) -> Any:
        """Its DKD, in training mode."""
        settings = SimpleNamespace(CE_WEIGHT=1.0, ALPHA=1.0, BETA=8.0, T=4.0, WARMUP=20)
        return self._methods["DKD"](student, teacher, SimpleNamespace(DKD=settings)).train()

    def supervised(self, student: nn.Module) -> Any:
        """Its training without a teacher, in training mode."""
        return self._methods["NONE"](student).train()

    def reviewkd(self, student: nn.Module, teacher: nn.Module, images: Tensor) -> Any:
        """Its ReviewKD with the weight 5, in training mode, built for the features that these images have."""
        own, goal = (_features(network, images) for network in (student, teacher))
        settings = SimpleNamespace(
            SHAPES=[size for _, size in reversed(own)],
            OUT_SHAPES=[size for _, size in reversed(goal)],
            IN_CHANNELS=[channels for channels, _ in own],
            OUT_CHANNELS=[channels for channels, _ in goal],
            CE_WEIGHT=1.0,
            REVIEWKD_WEIGHT=5.0,
            WARMUP_EPOCHS=20,
            STU_PREACT=False,
            MAX_MID_CHANNEL=512,
        )
        distiller = self._methods["REVIEWKD"](student, teacher, SimpleNamespace(REVIEWKD=settings))
        return distiller.to(images.device).train()

    def crd(self, student: nn.Module, teacher: nn.Module, images: Tensor, samples: int) -> Any:
        """Its CRD with a memory of so many samples, in training mode, for features as these images have."""
        (own, _), (goal, _) = (_features(network, images)[-1] for network in (student, teacher))
        settings = SimpleNamespace(
            MODE="exact",
            FEAT=SimpleNamespace(DIM=128, STUDENT_DIM=own, TEACHER_DIM=goal),
            LOSS=SimpleNamespace(CE_WEIGHT=1.0, FEAT_WEIGHT=0.8),
            NCE=SimpleNamespace(K=16384, MOMENTUM=0.5, TEMPERATURE=0.07),
        )
        with _without_cuda(importlib.import_module("mdistiller.distillers.CRD").AliasMethod):
            distiller = self._methods["CRD"](student, teacher, SimpleNamespace(CRD=settings), samples)
        return distiller.to(images.device).train()

    def cifar100(self, folder: Path) -> Any:
        """Its training set with its transform, from data in ``folder``."""
        return self._data.CIFAR100Instance(
            root=str(folder), download=False, train=True, transform=self._data.get_cifar100_train_transform()
        )


def _features(network: nn.Module, images: Tensor) -> list[tuple[int, int]]:
    """Channels and side of its stages after the stem and of the pooled feature."""
    with torch.no_grad():
        features = network(images[:2])[1]
    return [(stage.shape[1], stage.shape[2]) for stage in features["feats"][1:]] + [
        (features["pooled_feat"].shape[1], 1)
    ]


@contextmanager
def _without_cuda(draws: Any) -> Iterator[None]:
    """Its CRD moves the probabilities of its draws to a GPU, which may not be there and are not used here."""
    moves = draws.cuda
    if not torch.cuda.is_available():
        draws.cuda = lambda self: None
    try:
        yield
    finally:
        draws.cuda = moves


@contextmanager
def _importable(checkout: Path) -> Iterator[None]:
    """The checkout on the search path and stand-ins in place, while its modules are imported."""
    stand_ins = {name: _stand_in(name) for name in _NEVER_CALLED if _missing(name)}
    sys.modules.update(stand_ins)
    sys.path.insert(0, str(checkout))
    try:
        yield
    finally:
        sys.path.remove(str(checkout))
        for name in stand_ins:
            del sys.modules[name]


def _missing(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is None
    except ModuleNotFoundError:  # its parent is missing
        return True


def _stand_in(name: str) -> ModuleType:
    module = ModuleType(name)
    for attribute in _NEVER_CALLED[name]:
        setattr(module, attribute, object)
    return module
