"""Writing files that are whole or absent, and the two that a run keeps: the student, and what resuming needs."""

import json
import os
from collections.abc import Callable, Set
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

STUDENT_FILE = "student.safetensors"
RESUME_FILE = "resume.pt"
KEPT_TYPES = {"fp32": None, "fp16": torch.float16}
"""Name in a recipe -> type to which weights are cast for keeping; None leaves them what they are."""


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then put it in place: a crash leaves the old file whole."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def round_weights(network: nn.Module, dtype: torch.dtype) -> None:
    """Round the network's floating-point weights and statistics to what ``dtype`` can hold; their type stays.

    Raises:
        ValueError: a value is beyond the range of ``dtype``; nothing is rounded then.
    """
    values = {key: value for key, value in network.state_dict().items() if value.is_floating_point()}
    rounded = {key: value.to(dtype) for key, value in values.items()}
    if lost := [key for key, value in rounded.items() if not value.isfinite().all()]:
        raise ValueError(f"beyond the range of {dtype}: {', '.join(lost[:8])}; keep the weights as fp32")
    for key, value in values.items():
        value.copy_(rounded[key])


def save_network(path: Path, network: nn.Module, metadata: dict[str, str], dtype: torch.dtype | None = None) -> None:
    """The network's weights as safetensors, floating-point ones as ``dtype``, with ``metadata`` in the header."""
    tensors = {
        key: value.detach().to("cpu", dtype if value.is_floating_point() else None).contiguous()
        for key, value in network.state_dict().items()
    }
    write_atomically(path, lambda temporary: safetensors.torch.save_file(tensors, temporary, metadata=metadata))


def read_about(path: Path) -> dict[str, Any]:
    """What the header of a saved student says about it; nothing for a file of another origin."""
    if path.suffix != ".safetensors":
        return {}
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get("decant", "{}"))
    except (safetensors.SafetensorError, ValueError):
        return {}  # whoever loads the weights says what is wrong with the file
    return about if isinstance(about, dict) else {}


def save_resume_state(path: Path, state: dict[str, Any]) -> None:
    """All that a run needs to go on as if it had not stopped."""
    write_atomically(path, lambda temporary: torch.save(state, temporary))


def load_resume_state(path: Path, keys: Set[str]) -> dict[str, Any]:
    """The state of :func:`save_resume_state`, which has these keys; never runs code from the file.

    Raises:
        ValueError: the file is damaged, or of a version that kept something else.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, dict) or state.keys() != keys:
            raise TypeError(f"expected a dictionary of {sorted(keys)}")
        return state
    except Exception as error:
        # Without torch's words: they recommend to unpickle without restriction.
        raise ValueError(
            f"{path}: the resume state cannot be read, it is damaged, or not what this version of Decant writes "
            f"({type(error).__name__}); remove this file to start the run again from its first epoch"
        ) from error


def random_state(device: torch.device) -> dict[str, Tensor | None]:
    """The state of the run's generators, which dropout and the like draw from: the CPU's and its device's."""
    return {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None}


def restore_random_state(state: dict[str, Any], device: torch.device) -> None:
    """Put the run's generators back."""
    torch.set_rng_state(state["cpu"])
    if state["cuda"] is not None and device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)
