"""A long run leaves nothing behind: flat memory, no open files, threads or hooks."""

import gc
import os
import threading
import tracemalloc
from dataclasses import dataclass
from pathlib import Path

import pytest
from torch import nn

from decant.engine import train
from decant.engine.progress import Reporter
from decant.methods import ReviewKDSettings
from engine.tiny import places, recipe, untrained_teacher

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="counts by /proc"),
]
EPOCHS, SETTLED = 200, 50
"""The run's epochs, and those after which nothing should grow any more."""
ROW = 2_000
"""Bytes that the log of an epoch may take: it is kept until the run ends."""


@dataclass(frozen=True)
class Count:
    """What a process holds."""

    resident: int
    python: int
    files: int
    threads: int
    hooks: int

    @classmethod
    def now(cls) -> "Count":
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return cls(
            pages * os.sysconf("SC_PAGE_SIZE"),
            tracemalloc.get_traced_memory()[0],
            sum(1 for _ in Path("/proc/self/fd").iterdir()),
            threading.active_count(),
            sum(
                len(module._forward_hooks) + len(module._forward_pre_hooks) + len(module._backward_hooks)
                for module in gc.get_objects()
                if issubclass(type(module), nn.Module)  # isinstance would ask proxies of other packages
            ),
        )


class Counting(Reporter):
    """Counts at some epochs."""

    def __init__(self) -> None:
        self.epochs, self.counts = 0, dict[int, Count]()

    def status(self, text: str) -> None:
        self.epochs += 1
        if self.epochs in (SETTLED, EPOCHS):
            self.counts[self.epochs] = Count.now()


def test_two_hundred_epochs_take_no_more_than_fifty(tmp_path: Path) -> None:
    reporter, teacher = Counting(), untrained_teacher()
    before = Count.now()
    tracemalloc.start()
    try:
        # Features, adapters and a moving average: all that could hold on to something.
        planned = recipe(ReviewKDSettings(), epochs=EPOCHS, ema=0.9, learning_rate=0.01)
        train(planned, tmp_path / "run", places(tmp_path), reporter=reporter, teacher=teacher)
        settled, last = reporter.counts[SETTLED], reporter.counts[EPOCHS]
    finally:
        tracemalloc.stop()
    print(f"{before=}\n{settled=}\n{last=}\nafter={Count.now()}")
    assert last.python - settled.python < (EPOCHS - SETTLED) * ROW
    assert last.resident - settled.resident < 8 << 20
    assert (last.files, last.threads, last.hooks) == (settled.files, settled.threads, settled.hooks)
    after = Count.now()
    assert after.files <= before.files
    assert after.threads <= before.threads
    assert after.hooks == before.hooks
