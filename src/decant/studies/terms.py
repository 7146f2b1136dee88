"""What do the two halves of distillation do alone: the target class (TCKD), and the other classes (NCKD)?

The student alone, classical distillation, TCKD only, NCKD only, and both with a weight each. Every distilling method
has the same task term and warm-up; where the recipe tunes dkd, each has one free weight with the same candidates.
"""

from dataclasses import replace

from decant.evidence import Comparison, Panel, Series, Table, mean_interval
from decant.methods import DKDSettings
from decant.recipe import KD_MATCHED, Recipe, method_settings
from decant.studies.claims import caveats_of, difference, on_decoupling, told
from decant.studies.sizes import Size
from decant.studies.study import Made, Reading, Study, Trial, comparing

NAMES = ("supervised", "kd", KD_MATCHED, "tckd", "nckd", "dkd")
_WORDS = {
    "supervised": "the student alone",
    "kd": "classical, published weights",
    KD_MATCHED: "classical, a weight of its own",
    "tckd": "target class only",
    "nckd": "other classes only",
    "dkd": "both, a weight each",
}


def dkd_settings(recipe: Recipe) -> DKDSettings:
    """The settings of dkd that a recipe compares with."""
    settings = method_settings("dkd", recipe.method, recipe.compare)
    if not isinstance(settings, DKDSettings):
        raise ValueError(f"studies start from dkd, but the recipe calls {settings} so")
    return settings


def with_halves(recipe: Recipe) -> Recipe:
    """The recipe with "tckd" and "nckd" to compare: dkd without its other half, tuned as dkd is."""
    dkd = dkd_settings(recipe)
    halves = {"tckd": replace(dkd, beta=0.0), "nckd": replace(dkd, alpha=0.0)}
    grid = recipe.compare.tune.get("dkd", {}).get("beta")
    return comparing(recipe, halves, {"tckd": {"alpha": grid}, "nckd": {"beta": grid}} if grid else None)


def trials(size: Size) -> dict[str, Trial]:
    """One comparison of six methods; at the paper's size also one with a student of another family."""
    found = {size.pair: Trial(with_halves(size.recipe), NAMES)}
    if size.name == "paper":
        from decant.engine.suite import suite

        other = "resnet32x4-ShuffleNetV1"
        found[other] = Trial(with_halves(suite("cifar100")[other]), NAMES)
    return found


def findings(made: Made) -> Reading:
    """Each half against the student alone, and against classical distillation."""
    claims = []
    for comparison in made.comparisons.values():
        claims += [difference(comparison, name, "supervised") for name in NAMES[1:]]
        claims += [difference(comparison, name, KD_MATCHED) for name in ("tckd", "nckd")]
    claims += on_decoupling(made.comparisons)
    shown, not_shown = told(claims)
    return Reading(
        tables=tuple(_table(name, comparison) for name, comparison in made.comparisons.items()),
        panels=tuple(_panel(name, comparison) for name, comparison in made.comparisons.items()),
        shown=shown,
        not_shown=not_shown,
        caveats=(
            "kd has its published weights, 0.1 CE + 0.9 KL, and is not tuned; the others have the task weight of dkd.",
            *caveats_of(made.comparisons),
        ),
    )


def _table(name: str, comparison: Comparison) -> Table:
    rows = tuple(
        (
            method,
            _WORDS[method],
            comparison.result(method).last_top1,
            comparison.difference(method, "supervised"),
            comparison.difference(method, KD_MATCHED),
            len(comparison.seeds),
        )
        for method in NAMES
    )
    headings = ("method", "what teaches", "last epoch, %", "against supervised [95%]", f"against {KD_MATCHED} [95%]")
    return Table((*headings, "seeds"), rows, title=name)


def _panel(name: str, comparison: Comparison) -> Panel:
    intervals = [mean_interval(comparison.result(method).last.values()) for method in NAMES]
    series = Series(
        "mean and 95% interval",
        tuple(float(place) for place in range(len(NAMES))),
        tuple(interval.mean for interval in intervals),
        tuple(interval.low for interval in intervals),
        tuple(interval.high for interval in intervals),
        joined=False,
    )
    ticks = {float(place): method for place, method in enumerate(NAMES)}
    return Panel(name, "", "top-1 on test, %", (series,), ticks=ticks)


STUDY = Study(
    question="What do the two halves of distillation do alone: the target class (TCKD), and the other classes (NCKD)?",
    trials=trials,
    findings=findings,
)
