"""Timing candidates against each other: interleaved repeats in one process, ratios within each round."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from benchmarks.memory import extra_bytes


@dataclass(frozen=True)
class Row:
    """A candidate.

    Attributes:
        name: what it is.
        work: does the work so many times over.
        operations: of doing it once: floating-point ones, a multiply-add counted as two, or the bytes that must be
            moved, in a contest whose peak is a bandwidth; None where that says nothing.
    """

    name: str
    work: Callable[[int], object]
    operations: int | None = None


@dataclass(frozen=True)
class Contest:
    """Candidates for the same work.

    Attributes:
        title: what they do.
        rows: the candidates; speeds are told relative to the first one.
        peak: name of the row whose operations per second are the machine's peak; None for none.
        unit: what extra memory is told in, by name and bytes; None where it is not told.
    """

    title: str
    rows: tuple[Row, ...]
    peak: str | None = None
    unit: tuple[str, int] | None = None


@dataclass(frozen=True)
class Timed:
    """A candidate's result; times are seconds for doing the work once.

    Attributes:
        name: the row's.
        seconds: median over the rounds.
        low: fastest round.
        high: slowest round.
        speed: median over the rounds of (time of the first row / time of this one) in the same round.
        speed_low: smallest of these ratios.
        speed_high: largest of them.
        share: of the peak's operations per second, by the same median; None where that says nothing.
        memory: extra memory in units of the contest; None where it is not told.
    """

    name: str
    seconds: float
    low: float
    high: float
    speed: float
    speed_low: float
    speed_high: float
    share: float | None
    memory: float | None


def hold(contest: Contest, *, repeats: int, seconds: float, device: torch.device) -> list[Timed]:
    """Time the rows of a contest, all of them in every round, so that what disturbs the machine disturbs all.

    Args:
        contest: who takes part.
        repeats: rounds.
        seconds: least time that a row works in a round.
        device: where the work is done; a clock is read only when it has done what it was given.
    """
    # The first call allocates, compiles and picks algorithms; the second tells how often the work fits into the time.
    for row in contest.rows:
        row.work(1)
    counts = [max(1, round(seconds / _time(row, 1, device))) for row in contest.rows]
    rounds: list[list[float]] = []
    for number in range(repeats):
        # Each round starts elsewhere, so that no row always comes after the same disturbance.
        order = [(number + place) % len(contest.rows) for place in range(len(contest.rows))]
        taken = {place: _time(contest.rows[place], counts[place], device) / counts[place] for place in order}
        rounds.append([taken[place] for place in range(len(contest.rows))])
    return [_timed(contest, place, rounds, device) for place in range(len(contest.rows))]


def _timed(contest: Contest, place: int, rounds: list[list[float]], device: torch.device) -> Timed:
    row = contest.rows[place]
    times = [times[place] for times in rounds]
    speeds = [times[0] / times[place] for times in rounds]
    return Timed(
        name=row.name,
        seconds=statistics.median(times),
        low=min(times),
        high=max(times),
        speed=statistics.median(speeds),
        speed_low=min(speeds),
        speed_high=max(speeds),
        share=_share(contest, row, place, rounds),
        memory=_memory(contest, row, device),
    )


def _share(contest: Contest, row: Row, place: int, rounds: list[list[float]]) -> float | None:
    if contest.peak is None or row.operations is None:
        return None
    where, peak = next((at, other) for at, other in enumerate(contest.rows) if other.name == contest.peak)
    if peak.operations is None:
        raise ValueError(f"{contest.title}: {contest.peak!r} is the peak but its operations are not given")
    return statistics.median(row.operations / peak.operations * times[where] / times[place] for times in rounds)


def _memory(contest: Contest, row: Row, device: torch.device) -> float | None:
    if contest.unit is None or (extra := extra_bytes(row.work, device)) is None:
        return None
    return extra / contest.unit[1]


def _time(row: Row, times: int, device: torch.device) -> float:
    _synchronise(device)
    start = time.perf_counter()
    row.work(times)
    _synchronise(device)
    return time.perf_counter() - start


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
