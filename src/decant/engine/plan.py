"""Which runs a comparison consists of, checked before any of them starts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from decant.engine.teacher import Kept
from decant.interfaces import MethodSettings
from decant.recipe import ROLES, AnyRecipe, OptimizerSettings, Recipe, method_settings, with_candidate

FIRST_TUNING_SEED = 1000
"""Tuning seeds count from here, shown seeds from the recipe's: they never meet."""


class AnyRun(Protocol):
    """A run to do, of any task."""

    @property
    def recipe(self) -> AnyRecipe:
        """What is trained."""
        ...

    @property
    def folder(self) -> Path:
        """The run folder."""
        ...


class AnyPlan(Protocol):
    """The runs of a comparison, of any task."""

    @property
    def recipe(self) -> AnyRecipe:
        """What all runs share."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """The methods."""
        ...

    @property
    def seeds(self) -> range:
        """The seeds that are shown."""
        ...

    @property
    def out(self) -> Path:
        """The comparison's folder."""
        ...

    @property
    def teachers(self) -> tuple[Kept, ...]:
        """The recipes of the teachers that come from one."""
        ...

    def runs(self, name: str) -> Iterator[AnyRun]:
        """All runs of a method."""
        ...


def require_different(names: Sequence[str], seeds: int) -> None:
    """Raise ValueError unless there are methods, each of them once, and seeds."""
    if not names or len(set(names)) != len(names):
        raise ValueError(f"expected different methods to compare, got {list(names)}")
    if seeds < 1:
        raise ValueError(f"expected at least 1 seed, got {seeds}")


@dataclass(frozen=True)
class PlannedRun:
    """A run to do: its recipe, and its folder."""

    recipe: Recipe
    folder: Path


class Plan:
    """The runs of a comparison, below one folder.

    Args:
        recipe: what all runs share; ``recipe.compare`` says how methods are set and tuned.
        names: methods by name.
        seeds: how many, counted from the recipe's.
        out: the comparison's folder.

    Raises:
        ValueError: no or repeated names, an unknown one, no seeds, methods that need a teacher without one, a control
            that is not matched, or tuning on unequal terms.
    """

    def __init__(self, recipe: Recipe, names: Sequence[str], seeds: int, out: Path) -> None:
        require_different(names, seeds)
        last = recipe.seed + seeds - 1
        if last >= FIRST_TUNING_SEED and recipe.compare.tune:
            raise ValueError(f"seeds from {FIRST_TUNING_SEED} on are for tuning; got {recipe.seed} to {last}")
        self.roles = ROLES[recipe.task]
        if recipe.teacher is None and any(name != self.roles.baseline.name for name in names):
            raise ValueError(f"{', '.join(names)}: these methods learn from a teacher, but the recipe has none")
        self.recipe, self.names, self.out = recipe, tuple(names), out
        self.seeds = range(recipe.seed, last + 1)
        self.settings = {name: method_settings(name, recipe.method, recipe.compare) for name in names}
        self.tuned = {name: recipe.compare.tune[name] for name in names if name in recipe.compare.tune}
        for settings in self.settings.values():
            replace(recipe, method=settings)  # refuses a method of another task
        self._check_roles()

    @property
    def teachers(self) -> tuple[Recipe, ...]:
        """The recipes of the teachers that come from one."""
        sources = self.recipe.teacher.sources if self.recipe.teacher is not None else ()
        return tuple(source.recipe for source in sources if source.recipe is not None)

    def parameter(self, name: str) -> str:
        """The one setting of a method that is tuned."""
        (parameter,) = self.tuned[name]
        return parameter

    def tuning(self, name: str) -> dict[float, list[PlannedRun]]:
        """Candidate -> its runs, judged on the validation images."""
        ((parameter, candidates),) = self.tuned[name].items()
        seeds = range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + self.recipe.compare.tuning_seeds)
        return {
            value: [
                PlannedRun(
                    self._recipe(name, with_candidate(self.settings[name], parameter, value), seed, "validation"),
                    self.out / "tuning" / f"{name}-{parameter}-{value:g}" / f"seed-{seed}",
                )
                for seed in seeds
            ]
            for value in candidates
        }

    def shown(self, name: str, seed: int, chosen: float | None = None) -> PlannedRun:
        """The run of a method and seed that is shown, with the setting that tuning chose."""
        settings = self.settings[name]
        if chosen is not None:
            settings = with_candidate(settings, self.parameter(name), chosen)
        return PlannedRun(self._recipe(name, settings, seed, "test"), self.out / name / f"seed-{seed}")

    def runs(self, name: str) -> Iterator[PlannedRun]:
        """All runs of a method; the shown ones before tuning has chosen."""
        if name in self.tuned:
            for candidate in self.tuning(name).values():
                yield from candidate
        for seed in self.seeds:
            yield self.shown(name, seed)

    def _recipe(self, name: str, settings: MethodSettings, seed: int, judged_on: str) -> Recipe:
        # Without what is compared: another grid or another method leaves the runs that are done what they are.
        judged = replace(self.recipe, judged_on="validation" if judged_on == "validation" else "test")
        train = replace(self.recipe.train, optimizer=self._optimizer(name))
        return replace(judged.trained, method=settings, seed=seed, train=train)

    def _optimizer(self, name: str) -> OptimizerSettings:
        return self.recipe.compare.optimizers.get(name, self.recipe.train.optimizer)

    def _check_roles(self) -> None:
        roles = self.roles
        alone, matched, named = roles.baseline.name, roles.control, roles.decoupled.name
        baseline, control, dkd = (self.settings.get(name) for name in (alone, matched, named))
        if baseline is not None and not isinstance(baseline, roles.baseline):
            raise ValueError(f"compare.methods.{alone} is the baseline without a teacher, got {baseline}")
        if control is None:
            return
        if not isinstance(control, roles.matched):
            raise ValueError(
                f"compare.methods.{matched} must be {roles.matched.name}, the weight-matched control, got {control}"
            )
        if not isinstance(dkd, roles.decoupled):
            return
        for shared in roles.shared:
            here, there = getattr(control, shared), getattr(dkd, shared)
            if here != there:
                raise ValueError(f"{matched} must share {named}'s {shared} to be a control; got {here} and {there}")
        if self._optimizer(matched) != self._optimizer(named):
            raise ValueError(f"{matched} must have {named}'s optimiser to be a control; compare.optimizers differ")
        if (matched in self.tuned) != (named in self.tuned):
            raise ValueError(
                f"compare.tune names only one of {named} and {matched}: tuning is on equal terms, so name both or none"
            )
