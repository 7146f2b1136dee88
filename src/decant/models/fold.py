"""A frozen network without the BatchNorms that its convolutions can do themselves."""

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_weights
from torch.utils._python_dispatch import TorchDispatchMode

from decant.models.taps import Tapped

TOLERANCE = 1e-4
"""Largest relative deviation of logits and taps at which a folded network takes the place of the given one."""

# Exact types: a subclass, a parametrised layer among them, may compute anything.
_LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


@dataclass(frozen=True)
class Folded:
    """What :func:`fold_batchnorm` made of a network.

    Attributes:
        network: a copy with BatchNorms folded, or the very network that was given where nothing was folded.
        layers: paths of the BatchNorms that were folded.
        left: paths of the BatchNorms that are still there.
        deviation: largest relative deviation on the example, over logits and taps: norm of the difference / norm.
        refused: why nothing was folded although there was something to fold; None where it was.
    """

    network: nn.Module
    layers: tuple[str, ...]
    left: tuple[str, ...]
    deviation: float = 0.0
    refused: str | None = None

    def sentence(self) -> str:
        """For people.

        >>> Folded(nn.Identity(), layers=("bn1", "bn2"), left=("bn3",), deviation=3e-7).sentence()
        'BatchNorm: 2 of 3 folded into the layers before them, deviation 3.0e-07'
        """
        count = len(self.layers) + len(self.left)
        if self.refused is not None:
            return f"BatchNorm: none of {count} folded; {self.refused}"
        done = f", deviation {self.deviation:.1e}" if self.layers else ""
        return f"BatchNorm: {len(self.layers)} of {count} folded into the layers before them{done}"


def fold_batchnorm(network: nn.Module, example: Tensor, *, taps: Mapping[str, str] | None = None) -> Folded:
    r"""A frozen copy of a network, each BatchNorm folded into the convolution or linear layer right before it.

    .. math:: \gamma \frac{(W x + b) - \mu}{\sqrt{\sigma^2 + \epsilon}} + \beta = W' x + b'

    In eval mode a BatchNorm is affine, so the layer before it can do its work. The pairs are found by watching a pass
    over ``example``, whatever the network's code looks like: a BatchNorm folds if it reads the output of a layer that
    runs once, and nothing else reads that output. One that comes before its convolution (pre-activation networks)
    stays. The copy keeps the module paths (a folded BatchNorm becomes an ``nn.Identity``) and with them the taps.

    Args:
        network: in eval mode, on one device; left as it is.
        example: images (N, ...) that it runs on, on any device and of any floating type; the check is done on the CPU,
            half types in float32.
        taps: tap name -> module path; they give the same features on the copy. A layer whose own output is tapped
            keeps its BatchNorm.

    Returns:
        The copy and what was folded; or the network itself, and why, where the copy deviates by more than 1e-4.

    Raises:
        ValueError: the network has a BatchNorm in training mode; a tap of no module.

    >>> network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()).eval()
    >>> folded = fold_batchnorm(network, torch.randn(4, 3, 8, 8))
    >>> folded.layers, folded.left, folded.deviation < 1e-4
    (('1',), (), True)
    """
    norms = [name for name, module in network.named_modules() if isinstance(module, _NORMS)]
    if training := [name for name in norms if network.get_submodule(name).training]:
        raise ValueError(
            f"only a network in eval mode can be folded, but its BatchNorm {training[0]!r} is in training mode; "
            "call network.eval()"
        )
    first = next(network.parameters(), example)
    device, dtype = first.device, first.dtype
    # On the CPU and not in a half type, which round by more than the tolerance, as GPUs do in a convolution's products.
    made, example = copy.deepcopy(network).cpu(), example.cpu()
    if dtype in (torch.float16, torch.bfloat16):
        made = made.float()
    example = example.to(next(made.parameters(), example).dtype)
    with torch.no_grad():
        before = _outputs(made, example, taps or {})
        pairs = _pairs(made, example, set((taps or {}).values()))
        if not pairs:
            return Folded(network, (), tuple(norms))
        for layer, norm in pairs:
            _fold(made, layer, norm)
        try:
            after = _outputs(made, example, taps or {})
        except Exception as error:  # such as a network that reads the statistics of its BatchNorm in its own code
            return Folded(network, (), tuple(norms), refused=f"the folded network does not run: {error!r}")
    deviation = max(_deviation(before[name], after[name]) for name in before)
    if not deviation <= TOLERANCE:
        reason = f"the folded network would deviate by {deviation:.1e}, more than {TOLERANCE:.0e}"
        return Folded(network, (), tuple(norms), deviation, reason)
    gone = {norm for _, norm in pairs}
    left = tuple(name for name in norms if name not in gone)
    return Folded(
        made.to(device, dtype).requires_grad_(False), tuple(name for name in norms if name in gone), left, deviation
    )


def _outputs(network: nn.Module, example: Tensor, taps: Mapping[str, str]) -> dict[str, Tensor]:
    # Copies, because a later operation may overwrite a feature in place.
    outputs = Tapped(network, taps)(example)
    return {"": outputs.logits, **outputs.taps}


def _deviation(before: Tensor, after: Tensor) -> float:
    if before.shape != after.shape:
        return float("inf")
    return float((after - before).double().norm() / before.double().norm().clamp(min=1e-30))


def _pairs(network: nn.Module, example: Tensor, tapped: set[str]) -> list[tuple[str, str]]:
    """Paths of every (layer, BatchNorm) of which the second alone reads what the first gives out."""
    watch, handles = _Watch(), []
    for name, module in network.named_modules():
        if type(module) in _LAYERS and "weight" in module._parameters:
            handles.append(module.register_forward_hook(watch.layer(name)))
        elif type(module) in _NORMS and module.running_mean is not None:
            handles += [
                module.register_forward_pre_hook(watch.entered(name)),
                module.register_forward_hook(watch.left),
            ]
    for path in tapped:  # after those above: a tapped layer's output is noted before it is kept
        handles.append(network.get_submodule(path).register_forward_hook(watch.kept))
    try:
        with _EveryOperation(watch):
            network(example)
    finally:
        for handle in handles:
            handle.remove()
    return watch.pairs()


class _Watch:
    """Who reads the output of which layer, in one pass.

    An output is known by its identity; it is kept until the end, so that no later tensor takes its identity over.
    """

    def __init__(self) -> None:
        self._outputs: dict[int, tuple[str, Tensor]] = {}
        self._runs: list[str] = []
        self._readers: dict[str, list[str | None]] = {}
        self._inside_norm = False

    def layer(self, name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            self._runs.append(name)
            # The features of a linear layer are its last dimension, those of a BatchNorm the second.
            if isinstance(output, Tensor) and (type(module) is not nn.Linear or output.dim() == 2):
                self._outputs[id(output)] = name, output

        return hook

    def entered(self, name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Any, ...]) -> None:
            self._runs.append(name)
            self._read(args[0] if args else None, by=name)
            self._inside_norm = True

        return hook

    def left(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        self._inside_norm = False

    def kept(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        self._read(output, by=None)

    def operation(self, *arguments: Any) -> None:
        if not self._inside_norm:  # what a BatchNorm does with its input was counted when it was entered
            for tensor in _tensors(arguments):
                self._read(tensor, by=None)

    def _read(self, value: Any, *, by: str | None) -> None:
        if id(value) in self._outputs:
            layer, _ = self._outputs[id(value)]
            self._readers.setdefault(layer, []).append(by)

    def pairs(self) -> list[tuple[str, str]]:
        once = {name for name in self._runs if self._runs.count(name) == 1}
        return [
            (layer, norm)
            for layer, (norm, *others) in self._readers.items()
            if norm is not None and not others and {layer, norm} <= once
        ]


class _EveryOperation(TorchDispatchMode):
    """Shows a watch the arguments of all operations, also of those that no module wraps."""

    def __init__(self, watch: _Watch) -> None:
        TorchDispatchMode.__init__(self)
        self.watch = watch

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.watch.operation(args, kwargs)
        return func(*args, **(kwargs or {}))


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _tensors(part)
    elif isinstance(value, dict):
        yield from _tensors(tuple(value.values()))


def _fold(network: nn.Module, layer_path: str, norm_path: str) -> None:
    # Any: torch types every attribute of a module as a tensor or a module, numbers among them.
    layer: Any = network.get_submodule(layer_path)
    norm: Any = network.get_submodule(norm_path)
    # Parameters of its own, since another layer may share the old ones; the formula is the same for a linear layer.
    layer.weight, layer.bias = fuse_conv_bn_weights(
        layer.weight, layer.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    nothing = nn.Identity().eval()
    for path, module in list(network.named_modules(remove_duplicate=False)):
        if module is norm:
            network.set_submodule(path, nothing)
