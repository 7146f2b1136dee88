"""Choosing a method's settings by short runs on validation images; what is finished is never run again."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from decant.data import PictureSplits, Splits
from decant.engine.checkpoint import write_text
from decant.engine.parallel import Parallel
from decant.engine.places import Places
from decant.engine.plan import FIRST_TUNING_SEED
from decant.engine.progress import Reporter
from decant.engine.record import differences, held_alone, keep_recipe, kept_recipe
from decant.engine.run import find_teacher, load_data, train
from decant.engine.search import Space, control_of, rounded, space_of, trial_recipe, with_values
from decant.engine.teacher import Teacher
from decant.engine.trials import Trials, importances
from decant.interfaces import MethodSettings
from decant.recipe import ROLES, CompareSettings, Recipe, recipe_hash, recipe_to_dict

TUNED_FILE, BEST_FILE = "tuned.json", "best.json"
"""The recipe that a folder tunes, and the one that came of it."""
_BUDGET_FILE = "budget.json"

_AROUND = (0.5, 1.0, 2.0)
"""Candidates of the comparison that the best recipe asks for, as factors of what was found."""


@dataclass(frozen=True)
class Search:
    """All trials of one method.

    Attributes:
        name: of the method, or ``kd-matched`` and the like for its control.
        space: what was searched.
        trials: values -> mean score on validation images in percent, in the order of the trials.
        best: the values of the best one.
        importance: setting -> share of the variation that it explains (fANOVA), 0 to 1; empty below 4 trials.
    """

    name: str
    space: Space
    trials: tuple[tuple[Mapping[str, float], float], ...]
    best: Mapping[str, float]
    importance: Mapping[str, float]


@dataclass(frozen=True)
class Tuned:
    """What came of tuning.

    Attributes:
        recipe: the given one with the best settings.
        searches: of the method and, where it has two weights, of its control.
        epochs, seeds: of every trial.
    """

    recipe: Recipe
    searches: tuple[Search, ...]
    epochs: int
    seeds: tuple[int, ...]


def tune(
    recipe: Recipe,
    out: Path,
    places: Places,
    *,
    trials: int = 20,
    epochs: int | None = None,
    seeds: int = 1,
    ranges: Space | None = None,
    control: bool = True,
    reporter: Reporter | None = None,
) -> Tuned:
    """Search a method's settings by short runs, judged on validation images that no network is trained on.

    The recipe's own settings are the first trial, the others are proposed by optuna's TPE. For dkd its weight-matched
    control is searched by as many trials of its own, so that a comparison of the two is on equal terms. Seeds count
    from 1000, so that none of a shown run is among them.

    Args:
        recipe: whose method is tuned; ``data.validation`` is above 0.
        out: a folder for all runs, trials and the result; what is in it is not run again, so that a search that was
            interrupted goes on, and more trials add to those that are there.
        places: teachers, data and device on this machine.
        trials: how many runs (times seeds) for each search.
        epochs: of a trial; by default a quarter of the recipe's. Milestones and warm-ups are shortened likewise.
        seeds: runs per trial.
        ranges: setting -> where it is searched; by default those of ``SPACES``.
        control: whether the control of a method with two weights is searched too.
        reporter: where to say what is going on.

    Raises:
        FileExistsError: ``out`` holds something else.
        ValueError: no validation images; no teacher; counts below 1; settings that there are not; optuna missing.
    """
    reporter = reporter or Reporter()
    epochs = max(1, recipe.train.epochs // 4) if epochs is None else epochs
    if trials < 1 or seeds < 1 or not 1 <= epochs <= recipe.train.epochs:
        raise ValueError(
            f"trials and seeds are at least 1, epochs 1 to {recipe.train.epochs}; got {trials}, {seeds} and {epochs}"
        )
    space = space_of(recipe.method.name, ranges or {}, recipe.method)
    own_seeds = tuple(range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + seeds))
    trial_recipe(recipe, recipe.method, epochs, own_seeds[0])  # refuses a recipe without validation images
    if recipe.teacher is None:
        raise ValueError("the recipe has no teacher: there is nothing of distillation to tune")
    if Parallel(device=places.device).world > 1:
        raise ValueError("one process tunes: start decant tune by itself, not under torchrun")
    _refuse_another(recipe, out, {"epochs": epochs, "seeds": seeds})
    splits = load_data(recipe, places, reporter)
    teacher = find_teacher(recipe, splits, places, reporter=reporter)
    with held_alone(out):
        keep_recipe(out / TUNED_FILE, recipe)
        write_text(out / _BUDGET_FILE, json.dumps({"epochs": epochs, "seeds": seeds}) + "\n")
        bench = _Bench(recipe, out, places, splits, teacher, epochs, own_seeds, reporter)
        searches = [bench.search(recipe.method.name, recipe.method, space, trials)]
        method = with_values(recipe.method, dict(searches[0].best))
        matched: MethodSettings | None = None
        roles = ROLES[recipe.task]
        if control and isinstance(method, roles.decoupled):
            start = control_of(recipe, method)
            searches.append(bench.search(roles.control, start, space_of(roles.control, {}, start), trials))
            matched = with_values(start, dict(searches[1].best))
        best = _best_recipe(recipe, method, matched, trials, epochs)
        keep_recipe(out / BEST_FILE, best)
    return Tuned(best, tuple(searches), epochs, own_seeds)


@dataclass(frozen=True)
class _Bench:
    """What all trials share."""

    recipe: Recipe
    out: Path
    places: Places
    splits: Splits | PictureSplits
    teacher: Teacher | None
    epochs: int
    seeds: Sequence[int]
    reporter: Reporter

    def search(self, name: str, start: MethodSettings, space: Space, count: int) -> Search:
        """As many trials of one method as are wanted, those that are finished included."""
        first = {setting: float(getattr(start, setting)) for setting in space}
        trials = Trials(self.out / f"{name}.journal", space, first)
        while (left := count - len(trials.finished)) > 0:
            values = trials.ask()
            score = self._run(name, with_values(start, values))
            trials.tell(score)
            told = ", ".join(f"{setting} {rounded(value):g}" for setting, value in values.items())
            came = f"{self.recipe.metric_name} {score:.2f} on validation"
            self.reporter.say(f"{name}: trial {count - left + 1} of {count}, {told}: {came}")
        found = tuple(
            ({setting: rounded(value) for setting, value in values.items()}, score)
            for values, score in trials.finished[:count]
        )
        best = max(found, key=lambda trial: trial[1])[0]
        return Search(name, space, found, best, importances(trials))

    def _run(self, name: str, settings: MethodSettings) -> float:
        """Mean score over the seeds, in percent."""
        scores = []
        for seed in self.seeds:
            recipe = trial_recipe(self.recipe, settings, self.epochs, seed)
            # By all that decides it: an interrupted trial, and one that is asked for again, finds its run.
            folder = self.out / "trials" / name / recipe_hash(recipe)[:12]
            summary = train(
                recipe,
                folder,
                self.places,
                reporter=self.reporter,
                splits=self.splits,
                teacher=self.teacher,
                announce=False,
            )
            scores.append(float(summary["last"][recipe.metric]))
        return sum(scores) / len(scores)


def _best_recipe(
    recipe: Recipe, method: MethodSettings, matched: MethodSettings | None, trials: int, epochs: int
) -> Recipe:
    """The recipe with the best settings; with a control, one whose comparison may come to a verdict."""
    if matched is None:
        return replace(recipe, method=method)
    roles = ROLES[recipe.task]
    note = (
        f"{method.name}'s settings were searched by {trials} runs of {epochs} epochs on validation images, the "
        f"control's weight by as many at {method.name}'s temperature, which the two share; around what was found, each "
        "is tuned again here."
    )
    compare = CompareSettings(
        methods={**recipe.compare.methods, roles.control: matched},
        tune={
            method.name: {roles.weight: _around(method, roles.weight)},
            roles.control: {"weight": _around(matched, "weight")},
        },
        optimizers=recipe.compare.optimizers,
        tuning_seeds=recipe.compare.tuning_seeds,
        notes=(*recipe.compare.notes, note),
    )
    compare.methods.pop(method.name, None)  # the recipe's own method is the one that was found
    return replace(recipe, method=method, compare=compare)


def _around(settings: MethodSettings, name: str) -> tuple[float, ...]:
    return tuple(rounded(float(getattr(settings, name)) * factor) for factor in _AROUND)


def _refuse_another(recipe: Recipe, out: Path, budget: dict[str, Any]) -> None:
    """Refuse a folder that holds anything but this search."""
    if not out.exists():
        return
    present = sorted(entry.name for entry in out.iterdir() if not entry.name.startswith(".")) if out.is_dir() else [""]
    if present and TUNED_FILE not in present:
        raise FileExistsError(f"{out} holds files but no search ({', '.join(present[:3])}); give another with --out")
    if not present:
        return
    there, here = recipe_to_dict(kept_recipe(out / TUNED_FILE, recipe).trained), recipe_to_dict(recipe.trained)
    kept = out / _BUDGET_FILE
    known = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else budget
    if there != here or known != budget:
        differing = differences({**there, "trial": known}, {**here, "trial": budget})
        raise FileExistsError(
            f"{out} holds the search of another recipe ({'; '.join(differing[:4])}); give another with --out"
        )
