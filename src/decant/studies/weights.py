"""How much do the weights and the temperature matter, for dkd and for the coupled form?

dkd's beta at its alpha, alpha at its beta, and the temperature at both; CE + w KL, the coupled form, beside them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from decant.evidence import Comparison, Panel, Table
from decant.interfaces import MethodSettings
from decant.methods import KDSettings
from decant.recipe import KD_MATCHED, Recipe, method_settings
from decant.studies.claims import caveats_of, difference, told
from decant.studies.side_by_side import TOP1, with_intervals
from decant.studies.sizes import Size
from decant.studies.study import Made, Reading, Study, Trial, comparing
from decant.studies.terms import dkd_settings

_BETAS = {"paper": (0.5, 1.0, 2.0, 4.0, 8.0, 16.0), "quick": (1.0, 4.0, 16.0), "demo": (0.5, 1.0, 2.0, 4.0, 8.0)}
_ALPHAS = {"paper": (0.0, 0.5, 1.0, 2.0, 4.0), "quick": (0.0, 4.0), "demo": (0.0, 0.5, 2.0, 4.0)}
_TEMPERATURES = {"paper": (1.0, 2.0, 4.0, 8.0), "quick": (1.0, 8.0), "demo": (1.0, 2.0, 8.0)}

Method = Literal["dkd", "kd"]
Setting = Literal["beta", "alpha", "weight", "temperature"]


@dataclass(frozen=True)
class _Point:
    """A method with one setting moved."""

    method: Method
    setting: Setting
    value: float
    settings: MethodSettings

    @property
    def name(self) -> str:
        return f"{self.method}-{self.setting}-{self.value:g}"


def points(recipe: Recipe, size: str) -> list[_Point]:
    """Every point that is run; where the recipe's own value is moved to, it is one run under its first name."""
    dkd = dkd_settings(recipe)
    kd = method_settings(KD_MATCHED, recipe.method, replace(recipe.compare, methods={"dkd": dkd}))
    assert isinstance(kd, KDSettings), "without settings of its own the control is derived from dkd"

    def moved() -> Iterator[_Point]:
        for beta in sorted({*_BETAS[size], dkd.beta}):
            yield _Point("dkd", "beta", beta, replace(dkd, beta=beta))
            yield _Point("kd", "weight", beta, replace(kd, weight=beta))
        for alpha in sorted({*_ALPHAS[size], dkd.alpha}):
            yield _Point("dkd", "alpha", alpha, replace(dkd, alpha=alpha))
        for temperature in sorted({*_TEMPERATURES[size], dkd.temperature}):
            yield _Point("dkd", "temperature", temperature, replace(dkd, temperature=temperature))
            yield _Point("kd", "temperature", temperature, replace(kd, temperature=temperature))

    return list(moved())


def _names(all_points: list[_Point]) -> dict[MethodSettings, str]:
    """Settings -> the name of their runs: points that are one method are run once."""
    names: dict[MethodSettings, str] = {}
    for point in all_points:
        names.setdefault(point.settings, point.name)
    return names


def trials(size: Size) -> dict[str, Trial]:
    """One comparison of all points, none of them tuned."""
    names = _names(points(size.recipe, size.name))
    methods = {name: settings for settings, name in names.items()}
    return {size.pair: Trial(comparing(size.recipe, methods, {}), ("supervised", *methods))}


def findings(made: Made) -> Reading:
    """Accuracy by weight and by temperature, and dkd against the coupled form at every weight and temperature."""
    ((_, comparison),) = made.comparisons.items()
    all_points = points(made.size.recipe, made.size.name)
    names = _names(all_points)
    coupled = {(point.setting, point.value): names[point.settings] for point in all_points if point.method == "kd"}
    rows, claims = [], []
    for point in all_points:
        name = names[point.settings]
        other = coupled.get(("weight" if point.setting == "beta" else point.setting, point.value))
        beside = other if point.method == "dkd" else None
        rows.append(
            (
                point.method,
                point.setting,
                f"{point.value:g}",
                comparison.result(name).last_score,
                comparison.difference(name, "supervised"),
                comparison.difference(name, beside),
                len(comparison.seeds),
            )
        )
        if beside is not None:
            claims.append(difference(comparison, name, beside))
    shown, not_shown = told(dict.fromkeys(claims))
    headings = ("method", "setting", "value", "last epoch, %", "against supervised [95%]")
    return Reading(
        tables=(Table((*headings, "against the coupled form at this value [95%]", "seeds"), tuple(rows)),),
        panels=tuple(_panels(comparison, all_points, names)),
        shown=shown,
        not_shown=not_shown,
        caveats=(
            "Every point is judged on the test images: this says how much a setting matters. A value picked from it "
            "would be picked on test; `decant compare` picks on validation images.",
            "beta and w are not the same quantity: the coupled form gives the other classes w (1 - p_t).",
            *caveats_of(made.comparisons),
        ),
    )


def _panels(comparison: Comparison, all_points: list[_Point], names: dict[MethodSettings, str]) -> Iterator[Panel]:
    level = {"supervised": comparison.result("supervised").last_score.mean}
    drawn: list[tuple[str, list[tuple[str, Method, Setting]], bool]] = [
        ("weight of the other classes", [("dkd, beta", "dkd", "beta"), ("CE + w KL, w", "kd", "weight")], True),
        ("dkd's weight of the target class, alpha", [("dkd", "dkd", "alpha")], False),
        ("temperature", [("dkd", "dkd", "temperature"), ("CE + w KL", "kd", "temperature")], True),
    ]
    for title, lines, logarithmic in drawn:
        series = []
        for label, method, setting in lines:
            along = [point for point in all_points if (point.method, point.setting) == (method, setting)]
            intervals = [comparison.interval(names[point.settings]) for point in along]
            series.append(with_intervals(label, [point.value for point in along], intervals))
        yield Panel(title, title, TOP1, tuple(series), levels=level, logarithmic=logarithmic)


STUDY = Study(
    question="How much do the weights and the temperature matter, for dkd and for the coupled form?",
    trials=trials,
    findings=findings,
)
