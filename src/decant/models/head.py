"""Finding the classifier of any network: the layer whose rows are the classes."""

import torch
from torch import Tensor, nn


def classifier_of(network: nn.Module, example: Tensor, classes: int) -> str:
    """Path of the last module in a forward pass that has a row of weights for each class.

    Args:
        network: images to logits (N, classes); left as it was.
        example: a batch of images, on the network's device.
        classes: C.

    Raises:
        ValueError: there is none.

    >>> classifier_of(nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 3)), torch.zeros(2, 8), classes=3)
    '2'
    """
    met: list[str] = []
    handles = []
    for path, module in network.named_modules():
        weight = getattr(module, "weight", None)
        if isinstance(weight, nn.Parameter) and weight.dim() > 1 and len(weight) == classes:
            handles.append(module.register_forward_hook(lambda *_, path=path: met.append(path)))
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        with torch.no_grad():
            network(example)
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes.items():
            module.training = mode
    if not met:
        raise ValueError(f"the network has no layer with a row of weights for each of {classes} classes")
    return met[-1]
