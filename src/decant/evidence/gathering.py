"""Finding what runs left below any folders, whatever state it is in. A fault is told, never raised; nothing is written.

A folder may be one run, a comparison, a study, or hold any number of these.
"""

import json
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from decant.evidence.as_before import said
from decant.evidence.comparability import compare_runs
from decant.evidence.comparison import Comparison
from decant.evidence.findings import Findings
from decant.evidence.runs import Run, read_run

_RECIPE, _COMPARED, _COMPARISON, _FINDINGS = "recipe.json", "compared.json", "comparison.json", "findings.json"
_SEED_FOLDER = re.compile(r"seed-\d+")
_SHARED = ("task", "data", "student")
"""What runs that were named one by one must have in common to be put side by side."""


@dataclass(frozen=True)
class Fault:
    """Something that could not be read, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class RunGroup:
    """Runs that belong side by side.

    Attributes:
        path: the folder of the comparison; of runs that were named one by one, of the first.
        runs: the runs of each method, by the method's name in this group, sorted by seed.
        comparison: what they show; None where there is no comparison (yet).
        reason: why there is none; empty where there is one.
        under_way: whether more is to come: a run is unfinished, or the comparison has not written its end.
    """

    path: Path
    runs: Mapping[str, tuple[Run, ...]]
    comparison: Comparison | None
    reason: str = ""
    under_way: bool = False

    @property
    def every_run(self) -> tuple[Run, ...]:
        """All runs, method by method."""
        return tuple(run for runs in self.runs.values() for run in runs)


@dataclass(frozen=True)
class Gathered:
    """Everything that was found.

    Attributes:
        groups: what can be shown.
        studies: folder -> what a study found there.
        faults: what cannot be shown.
    """

    groups: tuple[RunGroup, ...]
    studies: Mapping[Path, Findings]
    faults: tuple[Fault, ...]


def gather(paths: Sequence[Path]) -> Gathered:
    """What runs left in these folders and below them.

    Runs that tuned a comparison are left out: its own page tells what they chose. A run whose files cannot be read, are
    cut short or contradict each other becomes a fault, and the others go without it.

    Args:
        paths: run folders, folders of comparisons or studies, or folders above these.

    Returns:
        Groups, studies and faults; a path with nothing in it is a fault too.
    """
    walk = _Walk()
    for path in dict.fromkeys(paths):
        walk.below(path)
    groups = [_of_comparison(path, walk) for path in walk.comparisons]
    groups += [_of_loose(runs) for runs in _alike(walk.loose)]
    return Gathered(tuple(group for group in groups if group is not None), walk.studies, tuple(walk.faults))


class _Walk:
    """What was met on the way through some folders, each once."""

    def __init__(self) -> None:
        self.comparisons: list[Path] = []
        self.loose: list[Run] = []
        self.studies: dict[Path, Findings] = {}
        self.faults: list[Fault] = []
        self._seen: set[Path] = set()

    def below(self, top: Path) -> None:
        """Note everything in a folder and below it."""
        if not top.is_dir():
            self.faults.append(Fault(top, "there is no such folder"))
            return
        before = len(self._seen), len(self.faults)
        for folder, names, files in os.walk(top, onerror=self._refused):
            path = Path(folder)
            names[:] = sorted(name for name in names if not name.startswith("."))
            if path.resolve() in self._seen:
                names.clear()
            elif _RECIPE in files:
                names.clear()
                self._met(path)
                self.loose += self.runs(path)
            elif _COMPARED in files or _COMPARISON in files:
                names.clear()
                self._met(path)
                self.comparisons.append(path)
            elif _FINDINGS in files:
                self._met(path)
                self._study(path)
        if before == (len(self._seen), len(self.faults)) and top.resolve() not in self._seen:
            self.faults.append(Fault(top, "there is no run in it or below it: no recipe.json, no compared.json"))

    def runs(self, path: Path) -> list[Run]:
        """The run in a folder; none, and a fault, where it cannot be read."""
        try:
            return [read_run(path)]
        except (ValueError, OSError) as error:
            self.faults.append(Fault(path, str(error)))
            return []

    def folders(self, path: Path) -> list[Path]:
        """The folders in a folder, sorted; none, and a fault, where it cannot be read."""
        try:
            return sorted(entry for entry in path.iterdir() if not entry.name.startswith(".") and entry.is_dir())
        except OSError as error:
            self._refused(error)
            return []

    def comparison(self, path: Path) -> Comparison | None:
        """The comparison that a folder keeps; None where there is none, or none that can be read."""
        try:
            kept = Comparison.from_json(json.loads((path / _COMPARISON).read_bytes()))
            kept.to_json()  # works everything out: what is not whole shows here rather than half way down a page
            return kept
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, AttributeError, KeyError, IndexError, OSError) as error:
            self.faults.append(Fault(path / _COMPARISON, f"it is not whole, or not of this version: {error}"))
            return None

    def _met(self, path: Path) -> None:
        self._seen.add(path.resolve())

    def _study(self, path: Path) -> None:
        try:
            self.studies[path] = Findings.from_json(json.loads((path / _FINDINGS).read_bytes()))
        except (ValueError, TypeError, AttributeError, OSError) as error:
            self.faults.append(Fault(path / _FINDINGS, f"it is not whole, or not of this version: {error}"))
            return
        for name in self.studies[path].comparisons:  # the runs of all studies of a size lie side by side
            if (runs := path.parent / "runs" / name).is_dir():
                self.below(runs)

    def _refused(self, error: OSError) -> None:
        self.faults.append(Fault(Path(str(error.filename)), f"it cannot be read: {error.strerror}"))


def _of_comparison(path: Path, walk: _Walk) -> RunGroup | None:
    """Its runs lie in NAME/seed-N; what tuned them lies elsewhere, and so does a teacher."""
    runs: dict[str, list[Run]] = defaultdict(list)
    for method in walk.folders(path):
        for run in walk.folders(method):
            if _SEED_FOLDER.fullmatch(run.name):
                runs[method.name] += walk.runs(run)
    kept = walk.comparison(path)
    order = [result.name for result in kept.results] if kept is not None else []
    names = [name for name in [*order, *runs] if runs.get(name)]
    groups = {name: tuple(sorted(runs[name], key=lambda run: run.seed)) for name in dict.fromkeys(names)}
    finished, present = _progress(groups)
    if kept is None and groups:
        # No verdict from what is there so far: who looks until he likes what he sees has chosen the result.
        reason = f"{finished} of {present} runs so far are finished, and the comparison is not"
        return RunGroup(path, groups, None, reason, under_way=True)
    if kept is None or not groups:
        walk.faults.append(Fault(path, "the comparison has no runs that can be shown"))
        return None
    walk.faults += [Fault(run, reason) for run, reason in _contradictions(path, kept, groups)]
    return RunGroup(path, groups, kept, under_way=finished < present)


def _progress(groups: Mapping[str, Sequence[Run]]) -> tuple[int, int]:
    """Finished runs, and all that are there."""
    runs = [run for those in groups.values() for run in those]
    return sum(run.finished for run in runs), len(runs)


def _contradictions(path: Path, kept: Comparison, groups: Mapping[str, Sequence[Run]]) -> Iterator[tuple[Path, str]]:
    """Where a comparison says other than the runs beside it."""
    told = {(result.name, seed) for result in kept.results for seed in result.last}
    beside = {(name, run.seed) for name, runs in groups.items() for run in runs}
    if unknown := sorted(beside - told):
        named = ", ".join(f"{name} seed {seed}" for name, seed in unknown)
        yield path, f"its comparison.json does not know of {named}; the command that compared adds what is finished"
    for result in kept.results:
        for run in groups.get(result.name, ()):
            score = result.last.get(run.seed)
            measured = run.last_score if run.metrics else None
            if score is not None and score != measured:
                yield run.path, f"comparison.json says {score}, metrics.jsonl {measured}: one of them was changed"


def _alike(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs that may be put side by side, by what they share."""
    groups: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        groups[json.dumps([said(run.recipe, part) for part in _SHARED], sort_keys=True)].append(run)
    return list(groups.values())


def _of_loose(runs: Sequence[Run]) -> RunGroup:
    names: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        names[_name(run)].append(run)
    groups = {name: tuple(sorted(those, key=lambda run: run.seed)) for name, those in names.items()}
    return _made(runs[0].path, groups)


def _name(run: Run) -> str:
    """As a comparison calls it where it lies in one's folders, else the method's own name."""
    return run.path.resolve().parent.name if _SEED_FOLDER.fullmatch(run.path.name) else run.method


def _made(path: Path, groups: Mapping[str, tuple[Run, ...]]) -> RunGroup:
    """The group with the comparison that its runs make, or with the reason why they make none."""
    finished, present = _progress(groups)
    if finished < present:
        return RunGroup(path, groups, None, f"{finished} of {present} runs are finished", under_way=True)
    if present == 1:
        return RunGroup(path, groups, None, "there is one run alone, and nothing to hold it against")
    try:
        metric = next(iter(groups.values()))[0].metric
        return RunGroup(path, groups, compare_runs(groups, control=metric.matched, baseline=metric.baseline))
    except (ValueError, KeyError) as error:
        return RunGroup(path, groups, None, str(error))
