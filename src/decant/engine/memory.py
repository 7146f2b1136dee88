"""Memory that ran out, in words that say what to lower."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from decant.recipe import TrainSettings

_SIGNS = ("DefaultCPUAllocator", "out of memory", "ALLOC_FAILED")
"""In the words of a RuntimeError: of torch's allocator on the CPU, and of CUDA's libraries."""


@contextmanager
def told_of_full_memory(settings: TrainSettings) -> Iterator[None]:
    """Inside, something is trained.

    Raises:
        MemoryError: the memory of the device or of the machine ran out; the message says what to lower.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not (isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(sign in str(error) for sign in _SIGNS)):
            raise
        raise MemoryError(f"out of memory: {'; or '.join(_advice(settings))}") from error


def _advice(settings: TrainSettings) -> Iterator[str]:
    half, batches = settings.batch_size // 2, 2 * settings.accumulate
    if half:
        yield (
            f"lower train.batch_size, {settings.batch_size} now: --set train.batch_size={half} --set "
            f"train.accumulate={batches} takes steps of as many samples as before"
        )
    if settings.precision == "fp32":
        yield 'train.precision = "bf16" halves what the forward pass keeps'
    yield "leave out --table-on-device if it is given, and see what else is on the device"
