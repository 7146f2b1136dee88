"""What is searched when a recipe is tuned: ranges of a method's settings, and the recipe of a trial."""

import math
from dataclasses import dataclass, fields, replace
from typing import Any, cast

from decant.engine.plan import FIRST_TUNING_SEED
from decant.interfaces import MethodSettings
from decant.recipe import ROLES, MultiStep, Recipe, method_settings, with_candidate

_DIGITS = 3
"""Significant digits of what is tried: more decide nothing, and nobody can read them."""


@dataclass(frozen=True)
class Range:
    """A range of a setting, searched on a logarithmic scale.

    Raises:
        ValueError: ends that are not 0 < low < high.

    >>> Range.parse("0.5..8")
    Range(low=0.5, high=8.0)
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (0 < self.low < self.high and math.isfinite(self.high)):
            raise ValueError(f"a range is LOW..HIGH with 0 < LOW < HIGH, got {self.low:g}..{self.high:g}")

    @classmethod
    def parse(cls, text: str) -> "Range":
        """The range of ``LOW..HIGH``."""
        low, dots, high = text.partition("..")
        try:
            return cls(float(low), float(high)) if dots else cls(math.nan, math.nan)
        except ValueError:
            raise ValueError(f"expected LOW..HIGH with 0 < LOW < HIGH, such as 0.5..8, got {text!r}") from None


Space = dict[str, Range]
"""Setting of a method -> where it is searched."""

_TEMPERATURE, _WEIGHT = Range(1.0, 8.0), Range(0.25, 16.0)

SPACES: dict[str, Space] = {
    "dkd": {"alpha": Range(0.25, 4.0), "beta": _WEIGHT, "temperature": _TEMPERATURE},
    "bernoulli_dkd": {"alpha": _WEIGHT, "beta": _WEIGHT, "temperature": _TEMPERATURE},
    **{name: {"weight": _WEIGHT, "temperature": _TEMPERATURE} for name in ("kd", "bernoulli_kd")},
    **{roles.control: {"weight": _WEIGHT} for roles in ROLES.values()},
}
"""By method; a control has the temperature of what it is held against, or it would be none. Others are given with
``--range``."""


def space_of(name: str, ranges: Space, settings: MethodSettings) -> Space:
    """What is searched of a method: the given ranges, or else those of ``SPACES``.

    Raises:
        ValueError: a setting that the method does not have, or none to search.
    """
    space = ranges or SPACES.get(name, {})
    if not space:
        known = [each.name for each in fields(cast(Any, settings)) if each.name not in ("name", "sha256")]
        raise ValueError(
            f"what shall be searched of {name}? Give ranges, such as --range {known[0]}=0.5..8; it has: "
            f"{', '.join(known)}"
        )
    for setting, where in space.items():
        with_candidate(settings, setting, where.low)
        with_candidate(settings, setting, where.high)
    return space


def rounded(value: float) -> float:
    """The value to three significant digits.

    >>> rounded(1.23456), rounded(0.0123456), rounded(12345.0)
    (1.23, 0.0123, 12300.0)
    """
    return float(f"{value:.{_DIGITS}g}")


def with_values(settings: MethodSettings, values: dict[str, float]) -> MethodSettings:
    """The settings with some of them changed, rounded."""
    for name, value in values.items():
        settings = with_candidate(settings, name, rounded(value))
    return settings


def trial_recipe(recipe: Recipe, settings: MethodSettings, epochs: int, seed: int) -> Recipe:
    """A short run of a method, judged on validation images.

    The course of the learning rate and a warm-up of the method are shortened with the epochs.

    Raises:
        ValueError: no validation images, or a seed that is for runs that are shown.
    """
    if seed < FIRST_TUNING_SEED:
        raise ValueError(f"seeds from {FIRST_TUNING_SEED} on are for tuning, got {seed}")
    share, schedule = epochs / recipe.train.epochs, recipe.train.schedule
    if isinstance(schedule, MultiStep):
        milestones = sorted({max(1, round(share * epoch)) for epoch in schedule.milestones})
        schedule = replace(schedule, milestones=tuple(milestones), warmup=share * schedule.warmup)
    elif hasattr(schedule, "warmup"):
        schedule = replace(cast(Any, schedule), warmup=share * schedule.warmup)
    warmup = getattr(settings, "warmup", 0)
    if warmup:
        settings = with_candidate(settings, "warmup", round(share * warmup))
    probe = round(share * recipe.train.probe_epochs)
    train = replace(recipe.train, epochs=epochs, schedule=schedule, probe_epochs=probe)
    return replace(recipe.trained, method=settings, train=train, seed=seed, judged_on="validation")


def control_of(recipe: Recipe, decoupled: MethodSettings) -> MethodSettings:
    """The weight-matched control of these settings of the task's method with two weights.

    Its weight is the one that the recipe gives it.
    """
    roles = ROLES[recipe.task]
    given = method_settings(roles.control, recipe.method, recipe.compare)
    matched = {name: getattr(decoupled, name) for name in roles.shared}
    return cast(MethodSettings, replace(cast(Any, given), **matched))
