"""Loading published checkpoints: strictly, safely, and all or nothing."""

import os
import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

_NESTS = ("model", "state_dict")
_PREFIXES = ("", "module.", "student.", "module.student.")
_COUNTER = "num_batches_tracked"
_SHOWN = 8  # names per list in a message


def load_weights(network: nn.Module, source: "str | os.PathLike[str] | Mapping[str, object]") -> None:
    """Load a state dict into a network, every key and every shape; the network changes only if all of it fits.

    The state dict may be nested under "model" or "state_dict", and its keys may start with ``module.``, ``student.`` or
    ``module.student.``; with the latter two, everything beside the student (a teacher, a method's own layers) is left
    aside. Missing ``num_batches_tracked`` counters, which old checkpoints lack, start at 0. Values are converted to the
    network's types and devices.

    Args:
        network: what is loaded into, in place.
        source: a state dict, or the path of a ``.safetensors`` file or of a file that ``torch.save`` wrote. The latter
            is read with ``weights_only=True``: no code in it is ever run.

    Raises:
        ValueError: the file cannot be read safely, holds no state dict, does not fit (all missing keys, unexpected
            keys and differing shapes are named), or holds values that are not finite.
        TypeError: ``source`` is neither a path nor a mapping.
        OSError: the file is missing or may not be read.

    >>> trained, fresh = nn.Linear(2, 1), nn.Linear(2, 1)
    >>> load_weights(fresh, {"model": {f"module.{key}": value for key, value in trained.state_dict().items()}})
    >>> torch.equal(fresh.weight, trained.weight)
    True
    """
    expected, given = _expected_and_given(network, source)
    _load(network, expected, given)


def load_all_but_head(network: nn.Module, source: "str | os.PathLike[str] | Mapping[str, object]") -> tuple[str, ...]:
    """Load a state dict of the same network over another number of classes: the classifier stays as it is.

    Left as they are are only tensors that differ in their first dimension alone, the classes, all of one module. All
    else is as in :func:`load_weights`.

    Returns:
        The keys that were left; none where the number of classes is the same, and the classifier is loaded too.

    Raises:
        ValueError, TypeError, OSError: as :func:`load_weights`.

    >>> load_all_but_head(nn.Linear(2, 3), nn.Linear(2, 5).state_dict())
    ('weight', 'bias')
    """
    expected, given = _expected_and_given(network, source)
    other = [
        key
        for key, value in expected.items()
        if key in given and given[key].shape != value.shape and given[key].shape[1:] == value.shape[1:]
    ]
    if len({key.rpartition(".")[0] for key in other}) != 1:  # nothing, or more than a classifier
        other = []
    _load(network, expected, given | {key: expected[key] for key in other})
    return tuple(other)


def _expected_and_given(
    network: nn.Module, source: "str | os.PathLike[str] | Mapping[str, object]"
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What the network holds, and what the source has for it."""
    if isinstance(source, Mapping):
        content: object = source
    elif isinstance(source, (str, os.PathLike)):
        content = _read(Path(source))
    else:
        raise TypeError(f"source must be a path or a state dict, got {type(source).__name__}")
    expected: dict[str, Tensor] = network.state_dict()
    given = _without_prefix(_tensors(content), expected)
    for key, value in expected.items():
        if key.rpartition(".")[2] == _COUNTER:
            given.setdefault(key, torch.zeros_like(value))
    return expected, given


def _load(network: nn.Module, expected: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
    _check_fit(expected, given)
    converted = {key: given[key].to(value) for key, value in expected.items()}
    _check_finite(converted)
    network.load_state_dict(converted, strict=True)


def _read(path: Path) -> object:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} was not loaded: it is damaged, or holds more than tensors and plain containers, which only "
            "unrestricted unpickling would restore; that can run any code. If you trust its origin, open it yourself "
            "and save its state dict alone: torch.save(checkpoint['model'], new_path)"
        ) from error
    except (RuntimeError, EOFError, SafetensorError) as error:
        raise ValueError(f"{path} is not a readable checkpoint: {error}") from error


def _tensors(content: object) -> dict[str, Tensor]:
    """The state dict in ``content``, which is it or holds it under one of the known names."""
    if isinstance(content, Mapping):
        content = next((content[name] for name in _NESTS if isinstance(content.get(name), Mapping)), content)
    if not isinstance(content, Mapping):
        raise ValueError(f"expected a state dict (names -> tensors), got {type(content).__name__}")
    if strangers := [str(key) for key, value in content.items() if not isinstance(value, Tensor)]:
        raise ValueError(
            "expected a state dict (names -> tensors), bare or under "
            f"{' or '.join(map(repr, _NESTS))}; these are not tensors: {_listed(strangers)}"
        )
    return {str(key): value for key, value in content.items()}


def _without_prefix(given: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``given`` without the prefix whose removal makes most of its keys known to the network."""
    prefix = max(_PREFIXES, key=lambda prefix: sum(prefix + key in given for key in expected))
    whole = "student" not in prefix  # otherwise other networks lie beside the student
    return {key.removeprefix(prefix): value for key, value in given.items() if whole or key.startswith(prefix)}


def _check_fit(expected: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
    missing = [key for key in expected if key not in given]
    unexpected = [key for key in given if key not in expected]
    reshaped = [
        f"{key} is {tuple(given[key].shape)}, the network has {tuple(value.shape)}"
        for key, value in expected.items()
        if key in given and given[key].shape != value.shape
    ]
    lists = {"missing keys": missing, "unexpected keys": unexpected, "differing shapes": reshaped}
    complaints = [f"{what} ({len(items)}): {_listed(items)}" for what, items in lists.items() if items]
    if complaints:
        raise ValueError("the weights do not fit the network; nothing was loaded\n" + "\n".join(complaints))


def _check_finite(values: Mapping[str, Tensor]) -> None:
    if broken := [key for key, value in values.items() if not torch.isfinite(value).all()]:
        raise ValueError(f"NaN or infinite weights ({len(broken)}); nothing was loaded: {_listed(broken)}")


def _listed(items: list[str]) -> str:
    shown = ", ".join(items[:_SHOWN])
    return shown if len(items) <= _SHOWN else f"{shown}, and {len(items) - _SHOWN} more"
