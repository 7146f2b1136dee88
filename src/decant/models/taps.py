"""Catching inner features of any network by module path."""

import difflib
import threading
import weakref
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from decant.interfaces import Outputs


class Tapped(nn.Module):
    """A network that returns its logits together with inner features that were asked for by module path.

    It changes neither the network nor its state dict (the network stays reachable as ``network``), runs it once per
    forward pass, and keeps nothing of a pass once its outputs are gone. It may be compiled, copied, pickled, wrapped in
    DistributedDataParallel and run in several threads at once. Where a module runs more than once in a pass, its last
    output is the feature. The hooks leave the network when this object is gone.

    Args:
        network: any module that maps images (N, channels, H, W) to logits (N, C).
        taps: tap name -> path of a module in ``network.named_modules()`` whose output is one tensor; empty for none.

    Raises:
        ValueError: the network has no module of that path.
        TypeError: in the forward pass, where a tapped module or the network itself returns anything but one tensor.
        RuntimeError: in the forward pass, where a tapped module was not run, or its output was overwritten in place
            later (not checked under compile or inference mode).

    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 10))
    >>> outputs = Tapped(network, {"hidden": "2"})(torch.zeros(5, 1, 8, 8))
    >>> outputs.logits.shape, outputs.taps["hidden"].shape
    (torch.Size([5, 10]), torch.Size([5, 8]))
    """

    def __init__(self, network: nn.Module, taps: Mapping[str, str]) -> None:
        super().__init__()
        if not isinstance(taps, Mapping):
            raise TypeError(f"taps must map tap names to module paths, got {type(taps).__name__}")
        self.network = network
        self.taps = dict(taps)
        modules = dict(network.named_modules(remove_duplicate=False))
        if complaints := [_no_such_module(tap, path, modules) for tap, path in taps.items() if path not in modules]:
            raise ValueError("\n".join(complaints))
        self._caught = _Caught()
        for tap, path in taps.items():
            handle = modules[path].register_forward_hook(_Hook(tap, path, self._caught))
            weakref.finalize(self, handle.remove).atexit = False

    def forward(self, images: Tensor) -> Outputs:
        """The logits (N, C) and the features of images (N, channels, H, W)."""
        # Restored rather than cleared: a network may contain or call this very object again.
        outer = self._caught.features
        self._caught.features = {}
        try:
            logits = self.network(images)
            features = self._caught.features
        finally:
            self._caught.features = outer
        if not isinstance(logits, Tensor):
            raise TypeError(
                f"the network must return a tensor of logits, got {type(logits).__name__}; "
                "wrap it in a module that returns the logits alone"
            )
        return Outputs(logits, {tap: self._feature(tap, features) for tap in self.taps})

    def _feature(self, tap: str, features: "dict[str, tuple[Tensor, int | None]]") -> Tensor:
        if tap not in features:
            raise RuntimeError(
                f"tap {tap!r}: module {self.taps[tap]!r} was not run in this forward pass. Name a module that the "
                "network calls; compile the Tapped network, not the network inside it"
            )
        feature, version = features[tap]
        if version is not None and feature._version != version:
            raise RuntimeError(
                f"tap {tap!r}: the output of module {self.taps[tap]!r} was overwritten in place by a later operation. "
                "Build the network with inplace=False, or tap the module that overwrites it"
            )
        return feature


class _Caught(threading.local):
    """What the hooks of one Tapped object have seen in the pass that now runs in this thread; None while none runs.

    A copy starts empty, so that copies of a Tapped object share nothing.
    """

    def __init__(self) -> None:
        # Set here and not on the class: the compiler guards on the attributes of the instance.
        self.features: dict[str, tuple[Tensor, int | None]] | None = None

    def __reduce__(self) -> tuple[type["_Caught"], tuple[()]]:
        return type(self), ()


class _Hook:
    """A forward hook as an object: copying the network copies what it points to as well, which a closure would not."""

    def __init__(self, tap: str, path: str, caught: _Caught) -> None:
        self.tap = tap
        self.path = path
        self.caught = caught

    def __call__(self, module: nn.Module, args: object, output: object) -> None:
        if self.caught.features is None:
            return  # the network runs by itself, or a checkpointed part of it once more in the backward pass
        if not isinstance(output, Tensor):
            raise TypeError(
                f"tap {self.tap!r}: module {self.path!r} must return one tensor, got {type(output).__name__}; "
                "name a module inside it that does"
            )
        self.caught.features[self.tap] = (output, _version(output))


def _version(tensor: Tensor) -> int | None:
    """How often the tensor was written to in place, None where that is not counted."""
    return None if torch.compiler.is_compiling() or tensor.is_inference() else tensor._version


def _no_such_module(tap: str, path: str, modules: Mapping[str, nn.Module]) -> str:
    names = [name for name in modules if name]
    near = difflib.get_close_matches(path, names, n=3, cutoff=0.4) or names[:3]
    return f"tap {tap!r}: the network has no module {path!r}; nearest: {', '.join(map(repr, near)) or 'none'}"
