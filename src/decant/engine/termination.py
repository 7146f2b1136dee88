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
def termination() -> Iterator[Callable[[], bool]]:
    """Inside, the first SIGTERM is noted rather than obeyed; the second one ends the process as ever.

    Signals belong to the main thread: in another one nothing is changed, and nothing ever noted.

    Returns:
        Whether one came.
    """
    came = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield came.is_set
        return

    def note(number: int, frame: FrameType | None) -> None:
        came.set()
        signal.signal(signal.SIGTERM, before)

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield came.is_set
    finally:
        signal.signal(signal.SIGTERM, before)
