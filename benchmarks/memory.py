"""How much memory a piece of work takes beyond what was there before."""

from collections.abc import Callable
from pathlib import Path

import torch

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def extra_bytes(work: Callable[[int], object], device: torch.device) -> int | None:
    """Peak of the memory in use while ``work(1)`` runs, minus what was in use before; None where nothing can tell.

    On CUDA what its tensors take; else, on Linux, what the process holds of the machine's memory, which is rounded to
    pages and misses what comes out of memory that was freed but kept: only large pieces of work are told well.
    """
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work(1)
        return torch.cuda.max_memory_allocated() - before
    try:
        _CLEAR.write_text("5", encoding="ascii")  # forget the peak so far
        before = _resident("VmRSS")
        work(1)
        return _resident("VmHWM") - before
    except OSError:
        return None


def _resident(field: str) -> int:
    for line in _STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return 1024 * int(line.split()[1])
    raise OSError(f"{_STATUS} has no {field}")
