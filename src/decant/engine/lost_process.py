"""Another process of the run that is gone, in words that say what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

_KINDS = {"DistError", "DistBackendError", "DistNetworkError", "DistStoreError"}
"""What torch raises where an exchange with other processes fails."""
_SIGN = "gloo/transport"
"""In the words of a RuntimeError of gloo."""


class LostProcessError(RuntimeError):
    """Another process of the run is gone, so that this one cannot go on."""


@contextmanager
def told_of_lost_processes() -> Iterator[None]:
    """Inside, processes exchange what they need of each other.

    Raises:
        LostProcessError: another one is gone.
    """
    try:
        yield
    except RuntimeError as error:
        if type(error).__name__ not in _KINDS and _SIGN not in str(error):
            raise
        raise LostProcessError(
            "another process of this run is gone, so this one ends too: it said why above, or it was killed, which the "
            "launcher says. What was kept is whole; the same command goes on from there"
        ) from error
