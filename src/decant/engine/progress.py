"""What a person sees while something runs: bars on a terminal, now and then a line elsewhere, or nothing."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

SECONDS_BETWEEN_LINES = 15.0


class Reporter:
    """Where the engine says what it is doing. This one says nothing; the others say more."""

    def say(self, text: str) -> None:
        """One line that matters."""

    @contextmanager
    def working(self, title: str, batches: int, done: int = 0) -> Iterator[None]:
        """Inside, work of so many batches goes on, of which ``done`` were behind it already."""
        self.start(title, batches, done)
        try:
            yield
        finally:
            self.stop()

    def start(self, title: str, batches: int, done: int = 0) -> None:
        """The work begins."""

    def advance(self) -> None:
        """A batch is done."""

    def status(self, text: str) -> None:
        """The newest state of the work; may be shown, replaced or dropped."""

    def stop(self) -> None:
        """The work is over, or failed."""


class Lines(Reporter):
    """For logs and pipes: every line that matters, and the status once in a while.

    Args:
        console: where to print.
        seconds_between: least time between two lines of status.
    """

    def __init__(self, console: Console, seconds_between: float = SECONDS_BETWEEN_LINES) -> None:
        self._console = console
        self._seconds_between = seconds_between
        self._last = time.monotonic()

    def say(self, text: str) -> None:
        """Print the line."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def status(self, text: str) -> None:
        """Print the line if the last one is long enough ago."""
        now = time.monotonic()
        if now - self._last >= self._seconds_between:
            self._last = now
            self.say(text)


class Bars(Reporter):
    """For terminals: a bar over the batches with the newest status beside it.

    Args:
        console: the terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress: Progress | None = None
        self._task = TaskID(0)

    def say(self, text: str) -> None:
        """Print the line, above the bar if there is one."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def start(self, title: str, batches: int, done: int = 0) -> None:
        """Show a bar."""
        self.stop()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=self._console, transient=True)
        self._task = self._progress.add_task(title, total=batches, completed=done)
        self._progress.start()

    def advance(self) -> None:
        """Move the bar by one batch."""
        if self._progress is not None:
            self._progress.advance(self._task)

    def status(self, text: str) -> None:
        """Show the text beside the bar."""
        if self._progress is not None:
            self._progress.update(self._task, description=text)

    def stop(self) -> None:
        """Take the bar away."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


def reporter_for(console: Console) -> Reporter:
    """Bars on a terminal, lines elsewhere."""
    return Bars(console) if console.is_terminal else Lines(console)
