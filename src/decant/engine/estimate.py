"""How long a run will take and how much disk, from a few steps on copies that leave no trace."""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from decant.data import Images
from decant.engine.distiller import Distiller
from decant.engine.parallel import Parallel
from decant.engine.resume_states import KEPT
from decant.interfaces import Batch, Outputs

_TIMED_STEPS = 3
_BESIDES = 100_000
_HARDLY = 0.05
"""Share of rows below which a table is of little use to a run."""


@dataclass(frozen=True)
class Forecast:
    """What a run will find in the table of its teacher's logits.

    Attributes:
        rows: rows of logits that it needs on this process.
        lacking: numbers of the entries that it needs and the table lacks, each once, rising.
        seconds_per_row: of the teacher, for those.
        where: the table's folder.
        bytes: size of the table once it is full.
        filled: how much of it is.
        elsewhere: other environments in which entries were worked out.
    """

    rows: int
    lacking: Tensor
    seconds_per_row: float
    where: Path
    bytes: int
    filled: float
    elsewhere: Sequence[Mapping[str, Any]] = ()

    @property
    def hits(self) -> float:
        """Share of the rows that the teacher need not work out, 0 to 1."""
        return 1 - len(self.lacking) / self.rows

    @property
    def seconds(self) -> float:
        """The teacher's, for all that is lacking."""
        return len(self.lacking) * self.seconds_per_row

    def sentence(self) -> str:
        """For people."""
        return (
            f"teacher: {self.hits:.1%} of {self.rows:,} rows from the table {self.where} ({size(self.bytes)}, "
            f"{self.filled:.1%} filled), {len(self.lacking):,} worked out"
        )

    @property
    def use(self) -> list[str]:
        """What to know where a run has little use of its table, a line each."""
        if self.hits >= _HARDLY:
            return []
        return [
            "note: hardly any view comes twice; the table pays for later runs that share the views: other methods of "
            "this seed, or every seed under one data.view_seed"
        ]

    @property
    def rounding(self) -> list[str]:
        """What to know where entries were rounded on other machines, a line each."""
        named = [", ".join(f"{name} {value}" for name, value in facts.items()) for facts in self.elsewhere]
        return [
            f"note: entries of the table were worked out elsewhere ({facts}): the same up to rounding, so not "
            "bit-equal to a run whose table was filled here alone"
            for facts in named
        ]


@dataclass(frozen=True)
class Estimate:
    """Expected cost of a run.

    Attributes:
        seconds: training and evaluation, from now on, and the teacher for what its table lacks.
        bytes: largest size of the run folder.
        free: bytes free where it will be.
        forecast: what the teacher's table will do; None without one.
    """

    seconds: float
    bytes: int
    free: int
    forecast: Forecast | None = None

    def sentence(self) -> str:
        """For people."""
        return f"about {duration(self.seconds)}, {size(self.bytes)} of disk ({size(self.free)} free)"

    def require_room(self, folder: Path) -> None:
        """Raise OSError where the disk has less room than the run in ``folder`` needs."""
        if self.free < self.bytes:
            raise OSError(f"{folder} needs {size(self.bytes)} of disk, but {size(self.free)} are free; make room")


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
    judged: Images,
    parallel: Parallel,
    *,
    folder: Path,
    steps: int,
    evaluations: int,
    averaged: bool = False,
    apart: bool = False,
    forecast: Forecast | None = None,
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
        apart: whether there are two gradients and two momenta.
        forecast: what the teacher's table will do; None runs the teacher in every step.
    """
    outputs = None
    if forecast is not None:  # any will do for the time that a step takes
        some = Outputs(torch.zeros(len(batch.index), len(judged.classes), device=batch.index.device))
        outputs = Outputs(some.logits, more=(some,) * (len(batch.images) - 1))
    devices = [batch.index.device] if batch.index.is_cuda else []
    with torch.random.fork_rng(devices=devices), parallel.autocast(), _trial(distiller, parallel) as trial:
        seconds_of(lambda: _step(trial, batch, outputs, apart), 1)  # the first step allocates and picks algorithms
        per_step = seconds_of(lambda: _step(trial, batch, outputs, apart), _TIMED_STEPS)
        trial.eval()
        with torch.no_grad(), parallel.together(trial.student):
            per_sample = seconds_of(lambda: trial.student(batch.images[0]), 1) / len(batch.index)
    needed, free = disk(folder, distiller, averaged=averaged, apart=apart)
    return Estimate(
        seconds=steps * per_step
        + evaluations * judged.size * per_sample
        + (forecast.seconds if forecast is not None else 0),
        bytes=needed,
        free=free,
        forecast=forecast,
    )


def disk(folder: Path, module: nn.Module, *, averaged: bool = False, apart: bool = False) -> tuple[int, int]:
    """Largest size of the run folder while ``module`` is trained, and how much is free there, in bytes."""
    weights = sum(tensor.nbytes for tensor in module.state_dict().values())
    where = folder
    while not where.exists():
        where = where.parent
    # Weights, momentum (or two of them) and average in each resume state, those that are kept and the one that is being
    # written; a little for all that is not weights.
    return (KEPT + 1) * ((2 + averaged + apart) * weights + _BESIDES), shutil.disk_usage(where).free


def seconds_of(work: Callable[[], object], repeats: int) -> float:
    """Mean seconds of one call of ``work``, with all that it leaves to a device."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / repeats


@contextmanager
def _trial(distiller: Distiller, parallel: Parallel) -> Iterator[Distiller]:
    """What steps can be tried on and leave no trace.

    A copy; but what is divided among processes cannot be copied, so there it is the very one, and its buffers are put
    back.
    """
    if not parallel.sharded:
        yield distiller.copy().train()
        return
    before = [buffer.clone() for buffer in distiller.buffers()]
    try:
        yield distiller.train()
    finally:
        distiller.zero_grad()
        for buffer, value in zip(distiller.buffers(), before, strict=True):
            buffer.copy_(value)


def _step(distiller: Distiller, batch: Batch, teacher_outputs: Outputs | None, apart: bool) -> None:
    *losses, _, _ = distiller(
        batch.images, batch.target, index=batch.index, epoch=batch.epoch, teacher_outputs=teacher_outputs, apart=apart
    )
    for loss in losses:
        loss.backward(retain_graph=loss is not losses[-1])
