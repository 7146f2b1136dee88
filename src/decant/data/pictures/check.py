"""Every picture decoded once before anything is trained, and what that found."""

import json
import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from decant.data.pictures.decode import UnreadablePictureError, decode
from decant.data.pictures.listing import Listing
from decant.data.pictures.store import Store
from decant.data.pictures.workers import in_workers

_CHUNK = 32
_SECONDS_BETWEEN_WORDS = 30.0
_SHOWN = 10


@dataclass(frozen=True)
class Checked:
    """What decoding all pictures of a listing found.

    Attributes:
        fingerprint: of the listing.
        unreadable: path -> why.
        kinds: what the readable ones were before they became RGB -> how many.
        sides: smallest, median and largest shorter side in pixels of the readable ones; empty where there are none.
    """

    fingerprint: str
    unreadable: dict[str, str]
    kinds: dict[str, int]
    sides: tuple[int, ...]


def check(listing: Listing, *, workers: int, cache: Path | None, say: Callable[[str], None]) -> Checked:
    """Decode every picture, or read what an earlier check of the same files found.

    Args:
        listing: what to check.
        workers: processes; 0 for this one.
        cache: folder where the finding is kept, so that no picture is checked twice; None keeps nothing. The pictures'
            own folder is never written to.
        say: told before the work and while it goes on.

    Raises:
        ChildProcessError: a worker died.
    """
    fingerprint = listing.fingerprint()
    kept = cache / f"checked-{fingerprint[:12]}.json" if cache is not None else None
    if kept is not None and kept.is_file():
        found = json.loads(kept.read_text(encoding="utf-8"))
        if found["fingerprint"] == fingerprint:
            return Checked(**{**found, "sides": tuple(found["sides"])})
    checked = _decode_all(listing, fingerprint, workers, say)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        written = kept.with_suffix(".tmp")  # whole or absent: a check that is interrupted is no check
        written.write_text(json.dumps(asdict(checked), indent=1) + "\n", encoding="utf-8")
        written.replace(kept)
    return checked


def _decode_all(listing: Listing, fingerprint: str, workers: int, say: Callable[[str], None]) -> Checked:
    count = len(listing.entries)
    if count > 1000:
        say(f"{listing.root}: checking {count:,} pictures once")
    spoken = time.monotonic()
    unreadable: dict[str, str] = {}
    kinds: Counter[str] = Counter()
    sides: list[int] = []
    chunks = range(-(-count // _CHUNK))
    jobs = _Look(listing.root, [entry.path for entry in listing.entries], listing.store)
    for number, found in zip(chunks, in_workers(jobs, chunks, workers), strict=True):
        for entry, (fault, kind, side) in zip(listing.entries[number * _CHUNK :], found, strict=False):
            if fault is not None:
                unreadable[entry.path] = fault
            else:
                kinds[kind] += 1
                sides.append(side)
        if time.monotonic() - spoken > _SECONDS_BETWEEN_WORDS:
            spoken = time.monotonic()
            say(f"  {min((number + 1) * _CHUNK, count):,} of {count:,} checked, {len(unreadable):,} unreadable")
    middle = (min(sides), int(statistics.median(sides)), max(sides)) if sides else ()
    return Checked(fingerprint, unreadable, dict(kinds.most_common()), middle)


@dataclass(frozen=True)
class _Look:
    root: Path
    paths: list[str]
    store: Store

    def __call__(self, number: int) -> list[tuple[str | None, str, int]]:
        """(fault or None, kind, shorter side) of each picture of a chunk."""
        return [self._one(path) for path in self.paths[number * _CHUNK : (number + 1) * _CHUNK]]

    def _one(self, path: str) -> tuple[str | None, str, int]:
        try:
            image, kind = decode(self.store.open(self.root, path))
        except (UnreadablePictureError, OSError) as error:
            return str(error), "", 0
        return None, kind, min(image.size)


def listed(faults: dict[str, str]) -> list[str]:
    """A line for each of the first faults, and one for the others."""
    lines = [f"  {path}: {why}" for path, why in list(faults.items())[:_SHOWN]]
    return lines + ([f"  and {len(faults) - _SHOWN:,} more"] if len(faults) > _SHOWN else [])
