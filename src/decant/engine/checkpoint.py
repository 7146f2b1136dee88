"""Writing files that are whole or absent; the student's among them."""

import errno
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

STUDENT_FILE, CARD_FILE = "student.safetensors", "model-card.md"
KEPT_TYPES = {"fp32": None, "fp16": torch.float16}
"""Name in a recipe -> type to which weights are cast for keeping; None leaves them what they are."""


_FULL = {errno.ENOSPC, errno.EDQUOT}


@contextmanager
def told_of_full_disk(path: Path) -> Iterator[None]:
    """Inside, ``path`` is written; a full disk ends it in words that say what to do.

    Raises:
        OSError: the disk is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise OSError(
            f"the disk is full: {path} cannot be written. What was kept before is whole; make room, and the same "
            "command goes on from there"
        ) from error


def write_atomically(path: Path, write: Callable[[Path], object], *, name: Callable[[Path], str] | None = None) -> Path:
    """Let ``write`` fill a temporary file beside ``path``, then put it in place: a crash leaves the old file whole.

    Args:
        path: where the file shall be.
        write: fills the file that it is given.
        name: the name of what was written, where it depends on that; by default that of ``path``.

    Returns:
        Where the file is.

    Raises:
        OSError: the disk is full, or whatever ``write`` meets.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with told_of_full_disk(path):
            write(temporary)
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            path = path if name is None else path.with_name(name(temporary))
            temporary.replace(path)
            sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def sync_folder(folder: Path) -> None:
    """Make the names in a folder outlast a lost machine; their contents are another matter."""
    if os.name == "nt":  # which opens no folders
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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


def save_weights(
    path: Path, weights: Mapping[str, Tensor], metadata: dict[str, str], dtype: torch.dtype | None = None
) -> None:
    """Weights as safetensors, floating-point ones as ``dtype``, with ``metadata`` in the header."""
    tensors = {
        key: value.detach().to("cpu", dtype if value.is_floating_point() else None).contiguous()
        for key, value in weights.items()
    }
    # As bytes, because a file that safetensors maps into memory says nothing of a full disk.
    content = safetensors.torch.save(tensors, metadata=metadata)
    write_atomically(path, lambda temporary: temporary.write_bytes(content))


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


def random_state(device: torch.device) -> dict[str, Tensor | None]:
    """The state of the run's generators, which dropout and the like draw from: the CPU's and its device's."""
    return {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None}


def restore_random_state(state: dict[str, Any], device: torch.device) -> None:
    """Put the run's generators back."""
    torch.set_rng_state(state["cpu"])
    if state["cuda"] is not None and device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)
