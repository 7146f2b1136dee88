"""What a recipe says about comparing methods: their settings, and how the free one of each is tuned."""

import math
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, cast, get_type_hints

from decant.interfaces import MethodSettings
from decant.methods import (
    METHODS,
    MULTILABEL_METHODS,
    BernoulliDKDSettings,
    BernoulliKDSettings,
    BernoulliSettings,
    ComposedSettings,
    DKDSettings,
    KDSettings,
    SupervisedSettings,
)
from decant.recipe.by_name import MethodByName
from decant.recipe.training import OptimizerSettings

KD_MATCHED = "kd-matched"
"""The control: classical distillation with DKD's task weight, warm-up and temperature, and a weight of its own."""
BERNOULLI_KD_MATCHED = "bernoulli_kd-matched"
"""The same of any number of classes to a picture."""


@dataclass(frozen=True)
class Roles:
    """The methods of a task by which a comparison answers whether distillation helps, and whether decoupling does.

    Attributes:
        baseline: the method without a teacher.
        decoupled: the one with two weights.
        control: the name in comparisons of the weight-matched control.
        matched: the settings of that control.
        weight: the setting of the decoupled method that the control's weight is, unless it is given or tuned.
        shared: what the two must have in common.
    """

    baseline: type[Any]
    decoupled: type[Any]
    control: str
    matched: type[Any]
    weight: str
    shared: tuple[str, ...]


ROLES: dict[str, Roles] = {
    "classification": Roles(
        baseline=SupervisedSettings,
        decoupled=DKDSettings,
        control=KD_MATCHED,
        matched=KDSettings,
        weight="beta",
        shared=("task_weight", "temperature", "warmup", "standardise"),
    ),
    "multilabel": Roles(
        baseline=BernoulliSettings,
        decoupled=BernoulliDKDSettings,
        control=BERNOULLI_KD_MATCHED,
        matched=BernoulliKDSettings,
        weight="alpha",
        shared=("task_weight", "temperature", "warmup"),
    ),
}
"""Task of a recipe -> who answers what."""


@dataclass(frozen=True)
class CompareSettings:
    """Settings of a comparison.

    Attributes:
        methods: settings by the name under which the comparison shows them; the others have their defaults.
        tune: name -> one setting -> its candidates; each candidate is trained with seeds that are not shown, and judged
            on validation images that no network is trained on. Every tuned method has the same number of candidates.
            The setting of a part of a composed method goes by the part's name: ``dkd.beta``.
        optimizers: the optimiser of a method where it is another than ``train.optimizer``, by the same names.
        tuning_seeds: seeds per candidate.
        notes: sentences that belong beside the numbers, such as how the other settings were chosen.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    methods: dict[str, MethodByName] = field(default_factory=dict)
    tune: dict[str, dict[str, tuple[float, ...]]] = field(default_factory=dict)
    optimizers: dict[str, OptimizerSettings] = field(default_factory=dict)
    tuning_seeds: int = 1
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse tuning on unequal terms, or of what does not exist."""
        counts = {}
        for name, grid in self.tune.items():
            if len(grid) != 1:
                raise ValueError(f"tune.{name} names one setting with its candidates, got {sorted(grid) or 'none'}")
            ((parameter, candidates),) = grid.items()
            if len(set(candidates)) != len(candidates) or not all(math.isfinite(value) for value in candidates):
                raise ValueError(f"tune.{name}.{parameter} must list different finite numbers, got {list(candidates)}")
            counts[name] = len(candidates)
            # Built now and thrown away: a wrong name or value must not wait until the teacher is trained.
            settings = method_settings(name, SupervisedSettings(), self)
            for value in candidates:
                with_candidate(settings, parameter, value)
        if len(set(counts.values())) > 1 or 0 in counts.values():
            raise ValueError(f"tuning must be on equal terms: the same number of candidates for each, got {counts}")
        if self.tuning_seeds < 1:
            raise ValueError(f"tuning_seeds must be at least 1, got {self.tuning_seeds}")


def method_settings(name: str, recipe_method: MethodSettings, compare: CompareSettings) -> MethodSettings:
    """The settings that ``name`` stands for in a comparison.

    In this order: what the recipe's ``compare.methods`` says; the recipe's own method where it has that name; for
    ``kd-matched`` the recipe's dkd with w = beta, for ``bernoulli_kd-matched`` its bernoulli_dkd with w = alpha; the
    defaults of the method of that name.

    Raises:
        ValueError: no method has that name.
    """
    if name in compare.methods:
        return compare.methods[name]
    if recipe_method.name == name:
        return recipe_method
    for roles in ROLES.values():
        if name == roles.control:
            dkd = method_settings(roles.decoupled.name, recipe_method, compare)
            if not isinstance(dkd, roles.decoupled):
                named = roles.decoupled.name
                raise ValueError(f"{name} is derived from {named}'s settings, but compare.methods.{named} is {dkd}")
            shared = {setting: getattr(dkd, setting) for setting in roles.shared}
            return cast(MethodSettings, roles.matched(weight=getattr(dkd, roles.weight), **shared))
    if name in (methods := METHODS | MULTILABEL_METHODS):
        return methods[name]()
    known = sorted({*methods, *(roles.control for roles in ROLES.values()), *compare.methods})
    several = "; a list of methods is named in compare.methods" if "+" in name else ""
    raise ValueError(f"no method {name!r} to compare; there are: {', '.join(known)}{several}")


def with_candidate(settings: MethodSettings, parameter: str, value: float) -> MethodSettings:
    """The same settings with one of them changed.

    Raises:
        ValueError: the method has no such setting, or the setting cannot have this value.
    """
    if isinstance(settings, ComposedSettings):
        name, _, own = parameter.rpartition(".")
        names = [part.name for part in settings.parts]
        if name not in names:
            raise ValueError(
                f"{settings.name} is tuned by a setting of a part, such as {names[0]}.weight; got {parameter}"
            )
        parts = (with_candidate(part, own, value) if part.name == name else part for part in settings.parts)
        return ComposedSettings(tuple(parts))
    kinds = get_type_hints(type(settings))
    names = [each.name for each in fields(cast(Any, settings)) if each.name not in ("name", "sha256")]
    if parameter not in names:
        raise ValueError(f"{type(settings).__name__} has no setting {parameter!r} to tune; it has: {', '.join(names)}")
    if kinds[parameter] is bool:
        raise ValueError(f"{parameter} is true or false, not a number to tune; compare it as methods of their own")
    # Candidates are real numbers; a setting that counts something stays whole, as recipes demand.
    if kinds[parameter] is int:
        if not float(value).is_integer():
            raise ValueError(f"{parameter} is a whole number, got {value}")
        value = int(value)
    return cast(MethodSettings, replace(cast(Any, settings), **{parameter: value}))
