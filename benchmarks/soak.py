"""Kill real trainings again and again: `python -m benchmarks.soak --kills 50 --inside 20`.

A student learns digits by DKD, in processes of its own. Each is killed (SIGKILL to its process group) at a random
moment, or inside the writing of a resume state, and the same call goes on; what it comes to in the end is held against
a run that nobody disturbed. When a run is over before all kills are spent, the next seed's begins.

The processes are forked, so that they need not import everything again: only where there is os.fork.
"""

import argparse
import json
import os
import random
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import torch
from safetensors.torch import load_file

from decant.engine import Places, checkpoint, train
from decant.recipe import find_recipe, load_recipe

SETTINGS = ("train.epochs=120", "train.checkpoint_every=5", "train.checkpoint_steps=7", "train.ema=0.99")
"""Of the shipped demo: long enough to be killed often, with resume points at and between the ends of epochs."""
SPREAD = 1.0
"""Seconds after a process's first resume state within which it is killed."""
EARLY = 0.2
"""Share of kills that come at any moment since the start of the process instead: while it loads and resumes, say."""
PLACES = ("half-written file", "whole file, not in place", "in place, old ones not removed")
"""Where a kill inside a write comes."""
WRITES = 4
"""A process that is killed inside a write is killed inside one of its first so many."""


@dataclass
class Tally:
    """What was done, and what it came to."""

    kills: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    equal: int = 0
    seconds: float = 0.0

    @property
    def done(self) -> int:
        """Kills of all kinds."""
        return sum(self.kills.values())


def soak(
    folder: Path, *, kills: int, inside: int, settings: Sequence[str] = SETTINGS, say: Callable[[str], None] = print
) -> Tally:
    """Spend so many kills at random moments, and so many inside a write.

    Args:
        folder: an empty one.
        kills: at random moments.
        inside: inside the writing of a resume state, in turn at each of ``PLACES``.
        settings: of the demo.
        say: told of every run.
    """
    tally, generator = Tally(), random.Random(0)
    begun = time.perf_counter()
    left = [None] * kills + [PLACES[number % len(PLACES)] for number in range(inside)]
    generator.shuffle(left)
    while left:
        whole, killed = folder / f"whole-{tally.runs}", folder / f"killed-{tally.runs}"
        run = _Run(folder, settings, tally.runs)
        _finish(_started(partial(run.to_its_end, whole)))
        before = tally.done
        while left and not (killed / "summary.json").exists():
            if (kind := _disturb(run, killed, left[-1], generator)) is not None:
                tally.kills[kind] += 1
                left.pop()
        _finish(_started(partial(run.to_its_end, killed)))
        tally.runs += 1
        tally.equal += (same := _equal(whole, killed))
        say(f"seed {tally.runs - 1}: {tally.done - before} kills, {'bit-equal' if same else 'NOT EQUAL'}")
    tally.seconds = time.perf_counter() - begun
    return tally


@dataclass(frozen=True)
class _Run:
    """The demo with other settings and a seed."""

    folder: Path
    settings: Sequence[str]
    seed: int

    def to_its_end(self, out: Path) -> None:
        recipe = load_recipe(find_recipe("demo"), [*self.settings, f"seed={self.seed}"])
        train(recipe, out, Places(self.folder / "teachers", device="cpu"), announce=False)


def _started(work: Callable[[], None]) -> int:
    """The number of a process of its own, in a process group of its own, that does the work."""
    if pid := os.fork():
        with suppress(ProcessLookupError, PermissionError):  # both do it, since nobody knows who comes first
            os.setpgid(pid, pid)
        return pid
    code = 1
    try:
        os.setpgid(0, 0)
        torch.set_num_threads(1)
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)  # nothing of the parent's is to be done here: no cleaning up of its folders, say


def _finish(pid: int) -> int:
    """How the process ended: 0, or -SIGKILL.

    Raises:
        RuntimeError: it failed by itself.
    """
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code not in (0, -signal.SIGKILL):
        raise RuntimeError(f"a run failed with {code}; its traceback is above")
    return code


def _disturb(run: _Run, out: Path, place: str | None, generator: random.Random) -> str | None:
    """Start the run and kill it; how it was killed, None where it was over before."""
    number, early, wait = generator.randint(1, WRITES), generator.random() < EARLY, generator.uniform(0, SPREAD)
    states = set(out.glob("resume-*.pt"))

    def work() -> None:
        if place is not None:
            _die_inside(place, number)
        run.to_its_end(out)

    pid = _started(work)
    if place is None:
        until = time.perf_counter() + 2 * wait if early else float("inf")
        while (
            (alive := _alive(pid)) and time.perf_counter() < until and (early or set(out.glob("resume-*.pt")) <= states)
        ):
            time.sleep(0.002)
        if alive and not early:
            time.sleep(wait)
        os.killpg(pid, signal.SIGKILL)  # there at least as a process that nobody has asked about
    if _finish(pid) == 0:
        return None
    return place or ("any moment of the process" if early else "any moment of training")


def _alive(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def _equal(whole: Path, killed: Path) -> bool:
    """Weights and metrics, bit for bit; but for the seconds."""
    left, right = (load_file(folder / "student.safetensors") for folder in (whole, killed))
    rows = [
        [{**json.loads(line), "seconds": 0} for line in (folder / "metrics.jsonl").read_text().splitlines()]
        for folder in (whole, killed)
    ]
    same = left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)
    return same and rows[0] == rows[1]


def _die_inside(place: str, number: int) -> None:
    """Let this process be killed in its so-many-th writing of a resume state."""
    writes = [0]
    save, replace, sync = torch.save, Path.replace, checkpoint.sync_folder

    def die() -> None:
        os.killpg(0, signal.SIGKILL)

    def cut_short(state: Any, file: Any, *more: Any) -> None:
        writes[0] += 1
        save(state, file, *more)
        if place == PLACES[0] and writes[0] == number:
            file.flush()
            os.truncate(file.fileno(), random.randrange(os.fstat(file.fileno()).st_size))
            die()

    def not_put_in_place(path: Path, target: Path) -> Path:
        if place == PLACES[1] and writes[0] == number and target.name.startswith("resume-"):
            die()
        return replace(path, target)

    def synced(folder: Path) -> None:
        sync(folder)
        if place == PLACES[2] and writes[0] == number:
            die()

    patch.object(torch, "save", cut_short).start()
    patch.object(Path, "replace", not_put_in_place).start()
    patch.object(checkpoint, "sync_folder", synced).start()


def _report(tally: Tally) -> str:
    rows = "\n".join(f"| {kind} | {count} |" for kind, count in sorted(tally.kills.items()))
    return (
        "| killed at | times |\n|---|---|\n"
        f"{rows}\n\n{tally.done} kills of {tally.runs} runs in {tally.seconds:.0f} s. "
        f"{tally.equal} of the {tally.runs} ended bit-equal to the undisturbed run, in weights and in metrics."
    )


def main() -> None:
    """Soak, and print what it came to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="at random moments")
    parser.add_argument("--inside", type=int, default=20, help="inside the writing of a resume state")
    wanted = parser.parse_args()
    with TemporaryDirectory() as folder:
        tally = soak(Path(folder), kills=wanted.kills, inside=wanted.inside)
    print(f"\n{_report(tally)}")
    sys.exit(tally.equal != tally.runs)


if __name__ == "__main__":
    main()
