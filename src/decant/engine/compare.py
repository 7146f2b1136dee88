"""Methods side by side on equal terms: tuned on validation images with seeds of their own, then run on shown seeds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from decant.data import Splits
from decant.engine.estimate import duration
from decant.engine.parallel import Parallel
from decant.engine.places import Places
from decant.engine.progress import Reporter
from decant.engine.record import finished
from decant.engine.run import find_teacher, load_data, train
from decant.engine.teacher import Teacher
from decant.engine.training import Training
from decant.evidence import Comparison, Run, Tuning, compare_runs, mean_std, read_run
from decant.interfaces import MethodSettings
from decant.recipe import KD_MATCHED, Recipe, method_settings, with_candidate

FIRST_TUNING_SEED = 1000
"""Tuning seeds count from here, shown seeds from the recipe's: they never meet."""


@dataclass(frozen=True)
class _Planned:
    """A run to do: its recipe, and its folder below the comparison's."""

    recipe: Recipe
    folder: Path


def compare(
    recipe: Recipe,
    names: Sequence[str],
    seeds: int,
    out: Path,
    places: Places,
    *,
    reporter: Reporter | None = None,
) -> Comparison:
    """Train every method with the same seeds and the same budget, and put the results side by side.

    What is finished in ``out`` is not run again, so that an interrupted comparison goes on and a larger number of
    seeds adds to a smaller one.

    Args:
        recipe: data, networks and training that all share; ``recipe.compare`` says how methods are set and tuned.
        names: methods by name; "kd-matched" is classical distillation with DKD's warm-up and a weight of its own.
        seeds: how many, counted from the recipe's.
        out: a folder for all runs.
        places: teachers, data and device on this machine.
        reporter: where to say what is going on.

    Raises:
        ValueError: no or repeated names, an unknown one, no seeds, or methods that need a teacher without one.
    """
    reporter = reporter or Reporter()
    _check(recipe, names, seeds)
    settings = {name: method_settings(name, recipe.method, recipe.compare) for name in names}
    splits = load_data(recipe, places)
    teacher = find_teacher(recipe, splits, places, reporter=reporter)
    tuning_plan = {
        name: _tuning_plan(recipe, name, settings[name], out) for name in names if name in recipe.compare.tune
    }
    _announce(recipe, settings, seeds, tuning_plan, out, splits, teacher, places, reporter)

    bench = _Bench(places, splits, teacher, reporter)
    tunings: dict[str, Tuning] = {}
    for name, plan in tuning_plan.items():
        tunings[name] = _tune(recipe, name, plan, bench)
        settings[name] = with_candidate(settings[name], tunings[name].parameter, tunings[name].chosen)
        reporter.say(f"{name}: {tunings[name].parameter} = {tunings[name].chosen:g} was best on the validation images")

    runs: dict[str, list[Run]] = {name: [] for name in names}
    for seed in range(recipe.seed, recipe.seed + seeds):  # seed by seed: what is done when interrupted is paired
        for name in names:
            runs[name].append(bench.run(_shown(recipe, name, settings[name], seed, out)))
    return compare_runs(runs, control=KD_MATCHED, baseline="supervised", tuning=tunings)


@dataclass(frozen=True)
class _Bench:
    """What all runs of a comparison share."""

    places: Places
    splits: Splits
    teacher: Teacher | None
    reporter: Reporter

    def run(self, planned: _Planned) -> Run:
        """The finished run, trained now unless it was before."""
        train(
            planned.recipe,
            planned.folder,
            self.places,
            reporter=self.reporter,
            splits=self.splits,
            teacher=self.teacher,
            announce=False,
        )
        return read_run(planned.folder)


def _shown(recipe: Recipe, name: str, settings: MethodSettings, seed: int, out: Path) -> _Planned:
    return _Planned(replace(recipe, method=settings, seed=seed, judged_on="test"), out / name / f"seed-{seed}")


def _tuning_plan(recipe: Recipe, name: str, settings: MethodSettings, out: Path) -> dict[float, list[_Planned]]:
    ((parameter, candidates),) = recipe.compare.tune[name].items()
    plan: dict[float, list[_Planned]] = {}
    for value in candidates:
        candidate = with_candidate(settings, parameter, value)
        plan[value] = [
            _Planned(
                replace(recipe, method=candidate, seed=seed, judged_on="validation"),
                out / "tuning" / f"{name}-{parameter}-{value:g}" / f"seed-{seed}",
            )
            for seed in range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + recipe.compare.tuning_seeds)
        ]
    return plan


def _tune(recipe: Recipe, name: str, plan: dict[float, list[_Planned]], bench: _Bench) -> Tuning:
    scores = {value: mean_std([bench.run(run).last_top1 for run in runs]).mean for value, runs in plan.items()}
    (parameter,) = recipe.compare.tune[name]
    return Tuning(
        parameter=parameter,
        candidates=scores,
        chosen=max(scores, key=lambda value: scores[value]),
        seeds=tuple(run.recipe.seed for run in next(iter(plan.values()))),
    )


def _check(recipe: Recipe, names: Sequence[str], seeds: int) -> None:
    if not names or len(set(names)) != len(names):
        raise ValueError(f"expected different methods to compare, got {list(names)}")
    if seeds < 1:
        raise ValueError(f"expected at least 1 seed, got {seeds}")
    last = recipe.seed + seeds - 1
    if last >= FIRST_TUNING_SEED and recipe.compare.tune:
        raise ValueError(f"seeds from {FIRST_TUNING_SEED} on are for tuning; got {recipe.seed} to {last}")
    if recipe.teacher is None and any(name != "supervised" for name in names):
        raise ValueError(f"{', '.join(names)}: these methods learn from a teacher, but the recipe has none")


def _announce(
    recipe: Recipe,
    settings: dict[str, MethodSettings],
    seeds: int,
    tuning: dict[str, dict[float, list[_Planned]]],
    out: Path,
    splits: Splits,
    teacher: Teacher | None,
    places: Places,
    reporter: Reporter,
) -> None:
    """Say how many runs there are and how long those that are left will take."""
    parallel = Parallel(device=places.device, precision=recipe.train.precision)
    total, seconds, count = 0, 0.0, 0
    for name, method in settings.items():
        plan = [_shown(recipe, name, method, seed, out) for seed in range(recipe.seed, recipe.seed + seeds)]
        plan += [run for runs in tuning.get(name, {}).values() for run in runs]
        left = [run for run in plan if not finished(run.folder)]
        total, count = total + len(plan), count + len(left)
        if left:
            each = Training(left[0].recipe, splits, teacher, parallel).estimate(out)
            seconds += each.seconds * len(left)
    if count:
        reporter.say(f"{out}: {count} of {total} runs to do, about {duration(seconds)}")
