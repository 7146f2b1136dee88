"""What a network's outputs look like, from one dry forward pass."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from decant.interfaces import Shapes, TokenGrid
from decant.models import Tapped
from decant.models.tokens import token_grid


def taps_of(network: nn.Module | None) -> Mapping[str, str]:
    """The tap names that a network brings along; none for a network that brings none."""
    taps = getattr(network, "taps", None)
    return taps if isinstance(taps, Mapping) else {}


def dry_shapes(network: nn.Module, example: Tensor, taps: Mapping[str, str]) -> Shapes:
    """Shapes of logits and taps for this batch, leaving the network as it was (BatchNorm statistics included)."""
    # A teacher that taught before may be on the GPU already, while the example never is.
    device = next((parameter.device for parameter in network.parameters()), example.device)
    training = {module: module.training for module in network.modules()}
    network.eval()
    try:
        with torch.no_grad():
            outputs = Tapped(network, taps)(example.to(device))
    finally:
        for module, mode in training.items():
            module.training = mode
    features = {name: tuple(feature.shape[1:]) for name, feature in outputs.taps.items()}
    return Shapes(tuple(outputs.logits.shape[1:]), features, _grids(network, example, taps, features), outputs)


def _grids(
    network: nn.Module, example: Tensor, taps: Mapping[str, str], features: Mapping[str, tuple[int, ...]]
) -> dict[str, TokenGrid]:
    if example.ndim != 4:
        return {}
    height, width = example.shape[2:]
    found = {
        name: token_grid(network, taps[name], shape[0], (height, width))
        for name, shape in features.items()
        if len(shape) == 2
    }
    return {name: grid for name, grid in found.items() if grid is not None}
