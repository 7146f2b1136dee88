"""Where a network's classifier lies, for methods that use it by itself, and exchanging parts of a network."""

import copy
from collections.abc import Mapping
from typing import Literal

import torch
from torch import nn

from decant.interfaces import BuildContext, Outputs
from decant.methods.stages import Shape, paired_maps


def map_shapes(context: BuildContext, method: str) -> tuple[Shape, Shape]:
    """Shapes (C, H, W) of the last feature maps, whose means over all positions the classifiers read.

    Raises:
        ValueError: there is no teacher, no shapes, or a network that names no such map.
    """
    ((student, teacher),) = paired_maps(context, method, ("map",))
    return student, teacher


def linear_classifier(context: BuildContext, role: Literal["student", "teacher"], method: str) -> tuple[str, nn.Linear]:
    """Path of a network's classifier, and the classifier: the one linear layer from its last map's channels to logits.

    Raises:
        ValueError: there is none, or more than one; the network's logits are not this layer on the mean of its map.
    """
    both = map_shapes(context, method)
    network, shapes, (width, *_) = {
        "student": (context.student, context.student_shapes, both[0]),
        "teacher": (context.teacher, context.teacher_shapes, both[1]),
    }[role]
    assert network is not None
    assert shapes is not None
    classes = shapes.logits[-1]
    found = {
        path: module
        for path, module in network.named_modules()
        if isinstance(module, nn.Linear) and (module.in_features, module.out_features) == (width, classes)
    }
    if len(found) != 1:
        raise ValueError(
            f"{method} needs the {role}'s classifier by itself: one linear layer from the {width} channels of its last "
            f"map (the tap 'map') to {classes} classes; this {role} has {', '.join(map(repr, found)) or 'none'}"
        )
    ((path, classifier),) = found.items()
    if shapes.outputs is not None and not _says(classifier, shapes.outputs):
        raise ValueError(
            f"{method} needs the {role}'s classifier by itself, but its logits are not {path!r} on the mean of its "
            f"last map: name as tap 'map' what is averaged before {path!r}; a {role} whose classes are in another "
            "order than the data's cannot take part, as its classifier is in that order too"
        )
    return path, classifier


@torch.no_grad()
def _says(classifier: nn.Linear, outputs: Outputs) -> bool:
    """Whether the classifier on the mean of the map gives the logits, up to rounding."""
    logits = outputs.logits
    deviation = (classifier(outputs.taps["map"].mean(dim=(2, 3))) - logits).abs().amax()
    # Of a float32 matrix product that the device may do in TF32; half types round more coarsely than that.
    rounding = max(1e-3, 8 * torch.finfo(logits.dtype).eps)
    # Logits that are not finite are the business of the loss, which tells them by name.
    return bool((deviation <= rounding * logits.abs().amax() + 1e-6) | ~logits.isfinite().all())


def exchanged(network: nn.Module, parts: Mapping[str, nn.Module]) -> nn.Module:
    """The network with other modules at these paths, which shares all the rest with it; the given one stays as it is.

    >>> network = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> other = exchanged(network, {"2": nn.Linear(3, 5)})
    >>> other.get_submodule("2").out_features, network.get_submodule("2").out_features
    (5, 2)
    >>> other.get_submodule("0") is network.get_submodule("0")
    True
    """
    made = _shell(network)
    for path, part in parts.items():
        parent = made
        *above, name = path.split(".")
        for step in above:
            # Modules on the way hold the parts, and so are copied too; twice for two parts, which does no harm.
            parent._modules[step] = _shell(parent.get_submodule(step))
            parent = parent.get_submodule(step)
        if name not in parent._modules:
            raise ValueError(f"the network has no module {path!r}")
        parent._modules[name] = part
    return made


def _shell(module: nn.Module) -> nn.Module:
    """A module of the same code, with the same parameters and parts, that can be given other ones."""
    shell = copy.copy(module)
    for name, value in vars(module).items():
        if isinstance(value, dict):  # parameters, buffers, parts, hooks
            vars(shell)[name] = copy.copy(value)
    return shell
