"""How long a run will take and how much disk, from a few steps on copies that leave no trace."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from decant.data import ImageSet
from decant.engine.distiller import Distiller
from decant.engine.parallel import Parallel
from decant.interfaces import Batch

_TIMED_STEPS = 3
_BESIDES = 100_000


@dataclass(frozen=True)
class Estimate:
    """Expected cost of a run.

    Attributes:
        seconds: training and evaluation, from now on.
        bytes: largest size of the run folder.
        free: bytes free where it will be.
    """

    seconds: float
    bytes: int
    free: int

    def sentence(self) -> str:
        """For people."""
        return f"about {duration(self.seconds)}, {size(self.bytes)} of disk ({size(self.free)} free)"


def duration(seconds: float) -> str:
    """Seconds in words.

    >>> duration(42.3), duration(780), duration(9000)
    ('42 s', '13 min', '2.5 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def size(count: float) -> str:
    """Bytes in words.

    >>> size(512), size(2_500_000)
    ('512 B', '2.5 MB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"


def estimate(
    distiller: Distiller,
    batch: Batch,
    judged: ImageSet,
    parallel: Parallel,
    *,
    folder: Path,
    steps: int,
    evaluations: int,
    averaged: bool = False,
) -> Estimate:
    """Time a few steps with a real batch on a copy of the student, and add up.

    Args:
        distiller: what is trained, on its device.
        batch: a batch of the run.
        judged: what is evaluated.
        parallel: device and precision.
        folder: the run folder.
        steps: training steps from now on.
        evaluations: evaluations from now on.
        averaged: whether a moving average is kept.
    """
    copy = distiller.copy().train()
    devices = [batch.index.device] if batch.index.is_cuda else []
    with torch.random.fork_rng(devices=devices), parallel.autocast():
        _seconds(lambda: _step(copy, batch), 1)  # the first step allocates and picks algorithms
        per_step = _seconds(lambda: _step(copy, batch), _TIMED_STEPS)
        copy.eval()
        with torch.no_grad():
            per_sample = _seconds(lambda: copy.student(batch.images[0]), 1) / len(batch.index)
    weights = sum(tensor.nbytes for tensor in distiller.state_dict().values())
    where = folder
    while not where.exists():
        where = where.parent
    return Estimate(
        seconds=steps * per_step + evaluations * judged.size * per_sample,
        # Weights, momentum and average in the resume state, which is there twice while one replaces the other; a little
        # for all that is not weights.
        bytes=2 * (3 if averaged else 2) * weights + _BESIDES,
        free=shutil.disk_usage(where).free,
    )


def _step(distiller: Distiller, batch: Batch) -> None:
    distiller(batch.images, batch.target, index=batch.index, epoch=batch.epoch).loss.backward()


def _seconds(work: Callable[[], object], repeats: int) -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / repeats
