"""A page that follows its runs: gathered and written again until they are done."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from decant.evidence.gathering import Gathered, gather


def watch(
    paths: Sequence[Path],
    write: Callable[[Gathered, int | None], object],
    *,
    every: int,
    pause: Callable[[float], None] = time.sleep,
) -> Gathered:
    """Gather and write again and again, until nothing is under way; the last page is written to stay as it is.

    Args:
        paths: what to gather.
        write: called with what was gathered, and the seconds until the next time; None at the last.
        every: seconds between two looks.
        pause: waits so many seconds.

    Returns:
        What was gathered last. A KeyboardInterrupt ends it too, after a last page.
    """
    while True:
        gathered = gather(paths)
        # Nothing there yet is no reason to stop: the run may be about to begin.
        under_way = any(group.under_way for group in gathered.groups) or not gathered.groups
        try:
            write(gathered, every if under_way else None)
            if not under_way:
                return gathered
            pause(every)
        except KeyboardInterrupt:
            write(gathered, None)
            raise
