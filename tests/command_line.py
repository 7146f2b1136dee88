"""The command line, called in the test's own process."""

from collections.abc import Callable

Run = Callable[..., tuple[int, str, str]]
"""Arguments of `decant` -> its exit code, output and errors."""
