"""Real trainings, killed at random moments and inside writes, end bit-equal: a few here, many by the command."""

import os
from pathlib import Path

import pytest

from benchmarks.soak import PLACES, SETTINGS, soak

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="no os.fork here")]


def test_runs_that_are_killed_end_bit_equal(tmp_path: Path) -> None:
    told: list[str] = []
    shorter = ["train.epochs=60", *SETTINGS[1:]]
    tally = soak(tmp_path, kills=3, inside=len(PLACES), settings=shorter, say=told.append)
    assert tally.done == 3 + len(PLACES)
    assert all(tally.kills[place] == 1 for place in PLACES)
    assert tally.equal == tally.runs == len(told)
