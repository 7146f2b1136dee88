"""Whether the runs of a comparison were made under the same conditions, in words."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from decant.evidence.runs import Run

_UNKNOWN = "unknown"


def describe_mixed_environments(runs: Sequence[Run]) -> str | None:
    """What differed between the environments of these runs, as a sentence; None where nothing did.

    >>> from pathlib import Path
    >>> def run(threads):
    ...     return Run(Path("runs"), {}, {"device": "cpu", "threads": threads}, (), None)
    >>> describe_mixed_environments([run(1), run(2), run(1)])
    'The runs were not all made in one environment: threads 1 and 2.'
    """
    environments = [environment_facts(run.environment) for run in runs]
    found = []
    for name in dict.fromkeys(name for facts in environments for name in facts):
        values = dict.fromkeys(facts.get(name, _UNKNOWN) for facts in environments)
        if len(values) > 1:
            found.append(f"{name} {_listed(values)}")
    # A run keeps the environment of its start; one that went on elsewhere is mixed in itself.
    moved = [changes for run in runs for changes in run.environment.get("resumed", ())]
    if names := dict.fromkeys(_moved_name(change) for changes in moved for change in changes):
        found.append(f"{_listed(names)} changed within a run that was resumed")
    return f"The runs were not all made in one environment: {'; '.join(found)}." if found else None


def environment_facts(environment: Mapping[str, Any]) -> dict[str, str]:
    """What a run ran on, name -> value: device, threads, versions of packages, commit of the source."""
    nested = ("packages", "source", "resumed")
    facts = {name: str(value) for name, value in environment.items() if name not in nested}
    facts |= {name: str(version or _UNKNOWN) for name, version in environment.get("packages", {}).items()}
    if "source" in environment:
        facts["source commit"] = _source(environment["source"])
    return facts


def _source(source: Mapping[str, Any] | None) -> str:
    if source is None:  # not run from a checkout: the package's version has to say it
        return _UNKNOWN
    return f"{source['commit'][:7]}{' with changes' if source.get('changed') else ''}"


def _moved_name(change: str) -> str:
    """``packages.torch: there '2.10', here '2.11'`` -> ``torch``."""
    return change.partition(":")[0].removeprefix("packages.").replace(".", " ")


def _listed(values: Iterable[str]) -> str:
    *first, last = values
    return f"{', '.join(first)} and {last}" if first else last
