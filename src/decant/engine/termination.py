"""SIGTERM, by which schedulers take a machine back: the step at hand is finished and kept before the run ends."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_CODE = 75
"""Of the command, "try again later" in sysexits.h: the same command goes on."""


class TerminatedError(RuntimeError):
    """The run was asked to end; all that it trained is kept."""


@contextmanager
def termination(*, relayed: bool = False) -> Iterator[Callable[[], bool]]:
    """Inside, the first SIGTERM is noted rather than obeyed; the second one ends the process as ever.

    Signals belong to the main thread: in another one nothing is changed, and nothing ever noted.

    Args:
        relayed: whether a launcher passes on to its processes what it got: one wish may then come twice, from a
            scheduler that tells them all and from the launcher, and it is the third that ends the process.

    Returns:
        Whether one came.
    """
    came, ignored = threading.Event(), 1 if relayed else 0
    if threading.current_thread() is not threading.main_thread():
        yield came.is_set
        return

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal ignored
        came.set()
        ignored -= 1
        if ignored < 0:
            signal.signal(signal.SIGTERM, before)

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield came.is_set
    finally:
        signal.signal(signal.SIGTERM, before)
