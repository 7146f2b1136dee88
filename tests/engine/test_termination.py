"""SIGTERM is noted once, obeyed the second time, and left to others when the work is over."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from decant.engine.termination import termination

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to send")

AGAIN = """
import os, signal
from decant.engine.termination import termination

with termination({arguments}) as came:
    for _ in range(4):
        os.kill(os.getpid(), signal.SIGTERM)
        print(came(), flush=True)
"""


def test_the_first_one_is_noted() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with termination() as came:
        assert not came()
        os.kill(os.getpid(), signal.SIGTERM)
        assert came()
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(("arguments", "survived"), [("", 1), ("relayed=True", 2)])
def test_one_too_many_ends_the_process(arguments: str, survived: int) -> None:
    """The second one; among several processes the third, because a launcher passes on what it got."""
    code = AGAIN.replace("{arguments}", arguments)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("True\n" * survived, -signal.SIGTERM)


def test_in_another_thread_nothing_is_changed() -> None:
    seen = []

    def work() -> None:
        with termination() as came:
            seen.append((came(), signal.getsignal(signal.SIGTERM)))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(False, before)]
