"""Methods side by side on equal terms: tuned on validation images with seeds of their own, then run on shown seeds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from decant.data import PictureSplits, Splits
from decant.engine.estimate import Forecast, duration
from decant.engine.parallel import Parallel
from decant.engine.places import Places
from decant.engine.plan import Plan, PlannedRun
from decant.engine.progress import Reporter
from decant.engine.record import RunFolder, differences, finished, keep_recipe, kept_recipe
from decant.engine.run import find_teacher, load_data, train
from decant.engine.supply import Supply
from decant.engine.teacher import Teacher
from decant.engine.training import Training, own_random_state, refuse_early
from decant.evidence import Comparison, Run, Tuning, compare_runs, mean_std, read_run
from decant.recipe import AnyRecipe, Recipe, recipe_to_dict

COMPARED_FILE = "compared.json"
"""The recipe of a comparison, in its folder; the runs below have recipes of their own."""


def compare(
    recipe: Recipe,
    names: Sequence[str],
    seeds: int,
    out: Path,
    places: Places,
    *,
    reporter: Reporter | None = None,
    splits: Splits | PictureSplits | None = None,
    teacher: Teacher | None = None,
) -> Comparison:
    """Train every method with the same seeds and the same budget, and put the results side by side.

    What is finished in ``out`` is not run again, so that an interrupted comparison goes on, and more seeds, methods or
    candidates add to what is there.

    Args:
        recipe: data, networks and training that all share; ``recipe.compare`` says how methods are set and tuned.
        names: methods by name; "kd-matched" is classical distillation with DKD's warm-up and a weight of its own, as
            is "bernoulli_kd-matched" with that of bernoulli_dkd.
        seeds: how many, counted from the recipe's.
        out: a folder for all runs.
        places: teachers, data and device on this machine.
        reporter: where to say what is going on.
        splits: the recipe's data, where the caller has loaded it already.
        teacher: the recipe's teacher, likewise.

    Raises:
        FileExistsError: ``out`` holds something else.
        ValueError: methods that cannot be compared fairly, see :class:`decant.engine.plan.Plan`.
    """
    plan = Plan(recipe, names, seeds, out)
    parallel = Parallel(device=places.device, precision=recipe.train.precision)
    reporter = reporter if reporter is not None and parallel.main else Reporter()
    refuse_another(recipe, out)
    splits = load_data(recipe, places, reporter) if splits is None else splits
    for name in names:
        refuse_early(plan.shown(name, recipe.seed).recipe, splits, places, parallel)
    _refuse_other_runs(plan, parallel)
    teacher = find_teacher(recipe, splits, places, reporter=reporter) if teacher is None else teacher
    bench = _Bench(places, splits, teacher, reporter)
    _announce(plan, bench)
    if parallel.main:
        out.mkdir(parents=True, exist_ok=True)
        keep_recipe(out / COMPARED_FILE, recipe)

    tunings = {name: _tune(plan, name, bench) for name in plan.tuned}
    runs: dict[str, list[Run]] = {name: [] for name in names}
    for seed in plan.seeds:  # seed by seed: what is done when interrupted is paired
        for name in names:
            chosen = tunings[name].chosen if name in tunings else None
            runs[name].append(bench.run(plan.shown(name, seed, chosen)))
    roles = plan.roles
    return compare_runs(runs, control=roles.control, baseline=roles.baseline.name, tuning=tunings, notes=_notes(recipe))


@dataclass(frozen=True)
class _Bench:
    """What all runs of a comparison share."""

    places: Places
    splits: Splits | PictureSplits
    teacher: Teacher | None
    reporter: Reporter

    def run(self, planned: PlannedRun) -> Run:
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
        # With every default filled in: a run may have finished before its recipe could say as much as the others'.
        return replace(read_run(planned.folder), recipe=recipe_to_dict(planned.recipe))


def _tune(plan: Plan, name: str, bench: _Bench) -> Tuning:
    candidates = plan.tuning(name)
    scores = {value: mean_std([bench.run(run).last_score for run in runs]).mean for value, runs in candidates.items()}
    chosen = max(scores, key=lambda value: scores[value])
    bench.reporter.say(f"{name}: {plan.parameter(name)} = {chosen:g} was best on the validation images")
    seeds = tuple(run.recipe.seed for run in candidates[chosen])
    return Tuning(parameter=plan.parameter(name), candidates=scores, chosen=chosen, seeds=seeds)


def _notes(recipe: Recipe) -> tuple[str, ...]:
    """What belongs beside the numbers."""
    notes = recipe.compare.notes
    if recipe.compare.tune and recipe.teacher is not None and recipe.teacher.recipe is None:
        notes += (
            "The teacher came as a file: if it was trained on the validation images, tuning saw what it memorised.",
        )
    return notes


def refuse_another(recipe: AnyRecipe, out: Path) -> None:
    """Raise FileExistsError where the folder holds anything but the comparison of this recipe."""
    if not out.exists():
        return
    present = sorted(entry.name for entry in out.iterdir() if not entry.name.startswith(".")) if out.is_dir() else [""]
    if present and COMPARED_FILE not in present:
        raise FileExistsError(
            f"{out} holds files but no comparison ({', '.join(present[:3])}); give another folder with --out"
        )
    if present:
        there = recipe_to_dict(kept_recipe(out / COMPARED_FILE, recipe).trained)
        here = recipe_to_dict(recipe.trained)
        if there != here:
            raise FileExistsError(
                f"{out} holds the comparison of another recipe ({'; '.join(differences(there, here)[:4])}); "
                "give another folder with --out"
            )


def _refuse_other_runs(plan: Plan, parallel: Parallel) -> None:
    """Refuse other runs in the places of these before anything is written; those that wait for tuning come later."""
    for name in plan.names:
        tuning = plan.tuning(name).values() if name in plan.tuned else ()
        planned = [run for runs in tuning for run in runs] or [plan.shown(name, seed) for seed in plan.seeds]
        for run in planned:
            RunFolder(run.folder, run.recipe, parallel)


def _announce(plan: Plan, bench: _Bench) -> None:
    """Say how many runs there are and how long those that are left will take."""
    parallel = Parallel(device=bench.places.device, precision=plan.recipe.train.precision)
    total, seconds, count = 0, 0.0, 0
    forecast: Forecast | None = None
    lacking: dict[tuple[int, int], Tensor] = {}  # by all that decides it: seed and views of a sample
    for name in plan.names:
        runs = list(plan.runs(name))
        left = [run for run in runs if not finished(run.folder)]
        total, count = total + len(runs), count + len(left)
        if not left:
            continue
        with own_random_state(parallel.device):
            training = Training(left[0].recipe, bench.splits, bench.teacher, parallel)
            training.prepare(batches=1)  # enough to tell how long a step takes
            with training.table_open(bench.places, bench.reporter):
                each = training.estimate(plan.out)
                seconds += each.seconds * len(left)
                if (tabled := training.tabled) is None or each.forecast is None:
                    continue
                # What one run works out the others find: it is counted below, once.
                forecast, views = each.forecast, training.distiller.method.views
                seconds -= forecast.seconds * len(left)
                for seed in {run.recipe.seed for run in left}:
                    supply = Supply(replace(left[0].recipe, seed=seed), bench.splits, parallel)
                    orders = supply.orders(range(plan.recipe.train.epochs), training.distiller.method)
                    lacking[seed, views] = tabled.needs(orders)[1]
    if forecast is not None:
        rows = len(torch.cat(list(lacking.values())).unique())
        seconds += rows * forecast.seconds_per_row
        bench.reporter.say(f"teacher: {rows:,} rows worked out once for all runs, kept in {forecast.where}")
        for note in forecast.rounding:
            bench.reporter.say(note)
    if count:
        bench.reporter.say(f"{plan.out}: {count} of {total} runs to do, about {duration(seconds)}")
