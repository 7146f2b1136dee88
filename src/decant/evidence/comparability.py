"""From run folders to a comparison, after making sure that nothing but the method differs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from decant.evidence.as_before import said
from decant.evidence.comparison import Comparison, MethodResult, Tuning
from decant.evidence.environments import describe_mixed_environments
from decant.evidence.runs import Run

_SHARED = ("data", "student", "train")
"""Parts of the recipe that must be the same in all runs."""

_OPTIMIZER = "train.optimizer"
"""May differ from method to method, and is then shown among the settings."""

_SHOWN = 8
"""Differences that an error lists before it only counts them."""


def compare_runs(
    groups: Mapping[str, Sequence[Run]],
    *,
    control: str | None = "kd-matched",
    baseline: str | None = "supervised",
    notes: Sequence[str] = (),
    tuning: Mapping[str, Tuning] | None = None,
) -> Comparison:
    """Put methods side by side, one group of runs per method, paired by seed.

    Args:
        groups: name -> the runs of that method, one per seed.
        control: group of the weight-matched control, CE + w KL; None in the result where there is no such group.
        baseline: group of the student trained without a teacher; the same.
        notes: sentences that belong beside the numbers, such as how the task was chosen. One is added where the runs
            differ in device, threads, processes, precision, versions or source: that is no reason to refuse them; one
            where methods have optimisers of their own; and one where all seeds share their views.
        tuning: name -> how a setting of that method was chosen; nothing for a method whose settings were given.

    Raises:
        ValueError: a run is unfinished; a seed is missing or there twice; or the runs differ in more than their method
            and seed: in epochs, split, data, images judged on, student, training (tuned settings and the optimiser may
            differ) or the teacher of a seed.

    See Also:
        decant.evidence.verdict: what may be said about the result.
    """
    tuning = tuning or {}
    _check_names(groups, tuning)
    for name, runs in groups.items():
        _check_group(name, runs)
    _check_same(groups, tuning)
    _check_teachers(groups)
    first_runs = next(iter(groups.values()))
    first = first_runs[0]
    control = control if control in groups else None
    baseline = baseline if baseline in groups else None
    metric = first.metric
    _check_role(groups, baseline, metric.baseline, "baseline: a student trained without a teacher")
    _check_role(groups, control, metric.distilled, "control: the task's loss and a weighted KL")
    summaries = [run.summary for runs in groups.values() for run in runs if run.summary is not None]
    teachers = {teacher["sha256"]: teacher for summary in summaries if (teacher := summary.get("teacher"))}
    mixed = describe_mixed_environments([run for runs in groups.values() for run in runs])
    optimizers = _several_optimizers(groups)
    return Comparison(
        results=tuple(_result(name, runs, tuning.get(name), optimizers is not None) for name, runs in groups.items()),
        baseline=baseline,
        control=control,
        split=first.split,
        epochs=first.epochs,
        data=first.recipe.get("data", {}),
        student=first.recipe.get("student", {}),
        parameters=summaries[0].get("parameters"),
        teachers=tuple(teachers.values()),
        notes=(
            *notes,
            *(
                note
                for note in (optimizers, _one_view_seed(first, len(first_runs)), _unlabelled(summaries), mixed)
                if note
            ),
        ),
        metric=metric,
    )


def _several_optimizers(groups: Mapping[str, Sequence[Run]]) -> str | None:
    """What methods with optimisers of their own do not show."""
    given = {name: runs[0].optimizer for name, runs in groups.items()}
    first, *others = given.values()
    if all(other == first for other in others):
        return None
    told = ", ".join(f"{name} by {optimizer['name']}" for name, optimizer in given.items())
    return f"Not all methods were trained by one optimiser ({told}): a difference between them may be the optimiser's."


def _one_view_seed(run: Run, seeds: int) -> str | None:
    """What seeds that share their views do not show; the settings of the data are the same for all runs."""
    view_seed = run.recipe.get("data", {}).get("view_seed")
    if view_seed is None or seeds < 2:
        return None
    return (
        f"All seeds had the same crops and flips (data.view_seed {view_seed}): they differ in initialisation and order "
        "alone, and the intervals say nothing about other views."
    )


def _unlabelled(summaries: Sequence[Mapping[str, Any]]) -> str | None:
    """What stood in for missing labels, and what is known of it."""
    if (counted := summaries[0].get("unlabelled")) is None:
        return None
    known = [teacher["top1"] for summary in summaries if (teacher := summary.get("teacher"))]
    right = f" (on the test images it is right on {known[0]:.2f}%)" if known and known[0] is not None else ""
    return (
        f"{counted['images']:,} of the {counted['of']:,} training images carried no label. To methods that ask "
        f"for their class it was the teacher's arg-max; how often that is right is not known{right}. Methods without a "
        "teacher met the images with labels alone, and as many an epoch as the others, each more often."
    )


def _result(name: str, runs: Sequence[Run], tuning: Tuning | None, with_optimizer: bool) -> MethodResult:
    ordered = sorted(runs, key=lambda run: run.seed)
    return MethodResult(
        name=name,
        method=ordered[0].method,
        settings=ordered[0].settings | ({"optimizer": dict(ordered[0].optimizer)} if with_optimizer else {}),
        last={run.seed: run.last_score for run in ordered},
        best={run.seed: run.best_score for run in ordered},
        seconds={run.seed: float((run.summary or {})["seconds"]) for run in ordered},
        teachers={run.seed: _teacher(run) for run in ordered},
        tuning=tuning,
        beside={
            key: {run.seed: run.beside[key] for run in ordered}
            for key in ordered[0].metric.beside
            if all(key in run.beside for run in ordered)
        },
    )


def _teacher(run: Run) -> str | None:
    """SHA-256 of the weights that taught this run."""
    teacher = (run.summary or {}).get("teacher")
    return str(teacher["sha256"]) if teacher else None


def _check_names(groups: Mapping[str, Sequence[Run]], tuning: Mapping[str, Tuning]) -> None:
    if not groups:
        raise ValueError("expected at least one method with its runs, got none")
    if unknown := sorted(tuning.keys() - groups.keys()):
        raise ValueError(f"expected tuning for methods among {list(groups)}, got {unknown}")


def _check_group(name: str, runs: Sequence[Run]) -> None:
    if not runs:
        raise ValueError(f"expected at least one run of {name}, got none")
    if unfinished := [str(run.path) for run in runs if not run.finished]:
        raise ValueError(
            f"expected finished runs of {name}, these are not: {', '.join(unfinished)}; let them finish first"
        )
    by_seed: dict[int, Run] = {}
    for run in runs:
        if run.seed in by_seed:
            raise ValueError(
                f"expected one run per seed of {name}, got seed {run.seed} in {by_seed[run.seed].path} and {run.path}"
            )
        by_seed[run.seed] = run
    for run in runs[1:]:
        pairs = (
            (runs[0].recipe["method"], run.recipe["method"], "method"),
            (runs[0].optimizer, run.optimizer, _OPTIMIZER),
        )
        if found := [difference for pair in pairs for difference in _differences(*pair)]:
            raise ValueError(
                f"expected one setting for all runs of {name}, {runs[0].path} and {run.path} differ: {found[0]}"
            )


def _check_same(groups: Mapping[str, Sequence[Run]], tuning: Mapping[str, Tuning]) -> None:
    """Refuse whatever differs between the runs besides the method, the seed and what was tuned."""
    first_name, first_runs = next(iter(groups.items()))
    first, seeds = first_runs[0], {run.seed for run in first_runs}
    allowed = {_OPTIMIZER, *(item.parameter for item in tuning.values())}
    found: list[str] = []
    for name, runs in groups.items():
        if (these := {run.seed for run in runs}) != seeds:
            found.append(f"seeds: {sorted(seeds)} in {first_name}, {sorted(these)} in {name}")
        for run in runs:
            pairs = [("epochs", first.epochs, run.epochs), ("split", first.split, run.split)]
            # The settings may agree while the files on disk did not: a summary carries the fingerprint of the images.
            pairs += [("training images", (first.summary or {}).get("data"), (run.summary or {}).get("data"))]
            pairs += [(part, said(first.recipe, part), said(run.recipe, part)) for part in _SHARED]
            found += [
                f"{difference} (the first in {first.path}, the second in {run.path})"
                for part, expected, got in pairs
                for difference in _differences(expected, got, part, allowed)
            ]
    found += _judged_differences([run for runs in groups.values() for run in runs])
    if found:
        more = [f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
        lines = "\n  ".join(found[:_SHOWN] + more)
        raise ValueError(f"expected runs that differ in method and seed alone, these differ in\n  {lines}")


def _judged_differences(runs: Sequence[Run]) -> Iterator[str]:
    """Runs that were judged on other images than the first; a run of old may not have kept their fingerprint."""
    known = [(run, judged) for run in runs if (judged := (run.summary or {}).get("judged")) is not None]
    for run, judged in known[1:]:
        first, expected = known[0]
        for difference in _differences(expected, judged, "images judged on"):
            yield f"{difference} (the first in {first.path}, the second in {run.path})"


def _check_teachers(groups: Mapping[str, Sequence[Run]]) -> None:
    """Refuse two methods that learned from different teachers under the same seed: the pair would compare teachers."""
    taught: dict[int, Run] = {}
    for run in (run for runs in groups.values() for run in runs if _teacher(run) is not None):
        other = taught.setdefault(run.seed, run)
        if _teacher(other) != _teacher(run):
            raise ValueError(
                f"expected one teacher for all runs of seed {run.seed}, "
                f"got {_teacher(other)} in {other.path} and {_teacher(run)} in {run.path}"
            )


def _check_role(groups: Mapping[str, Sequence[Run]], name: str | None, method: str, role: str) -> None:
    if name is not None and (got := groups[name][0].method) != method:
        raise ValueError(
            f"expected {name} to be the {role} (method {method}), got method {got}; name another group or None"
        )


def _differences(
    expected: Any, got: Any, where: str, allowed: frozenset[str] | set[str] = frozenset()
) -> Iterator[str]:
    """Every leaf in which two recipe values differ, by its dotted name, but for the allowed ones."""
    if where in allowed:
        return
    if isinstance(expected, Mapping) and isinstance(got, Mapping):
        for key in sorted(expected.keys() | got.keys()):
            yield from _differences(expected.get(key), got.get(key), f"{where}.{key}", allowed)
    elif expected != got:
        yield f"{where}: {expected!r} and {got!r}"
