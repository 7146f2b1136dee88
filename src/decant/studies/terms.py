"""What do the two halves of distillation do alone: the target class (TCKD), and the other classes (NCKD)?

The student alone, classical distillation, TCKD only, NCKD only, and both with a weight each. Every distilling method
has the same task term and warm-up; where the recipe tunes dkd, each has one free weight with the same candidates.
"""

from dataclasses import replace

from decant.interfaces import MethodSettings
from decant.methods import DKDSettings, NCKDSettings
from decant.recipe import KD_MATCHED, Recipe, method_settings
from decant.studies.claims import caveats_of, difference, on_decoupling, told
from decant.studies.side_by_side import methods_panel, methods_table
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
    """The recipe with "tckd" and "nckd" to compare: the halves of its dkd, tuned as dkd is."""
    dkd = dkd_settings(recipe)
    halves: dict[str, MethodSettings] = {"tckd": replace(dkd, beta=0.0), "nckd": nckd_settings(dkd)}
    grid = candidates(recipe)
    return comparing(recipe, halves, {"tckd": {"alpha": grid}, "nckd": {"weight": grid}} if grid else None)


def nckd_settings(dkd: DKDSettings) -> NCKDSettings:
    """The second half of dkd."""
    return NCKDSettings(task_weight=dkd.task_weight, weight=dkd.beta, temperature=dkd.temperature, warmup=dkd.warmup)


def candidates(recipe: Recipe) -> tuple[float, ...]:
    """The values that the recipe tunes dkd's beta over; none where it does not."""
    return recipe.compare.tune.get("dkd", {}).get("beta", ())


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
        tables=tuple(
            methods_table(comparison, NAMES, ("supervised", KD_MATCHED), words=_WORDS, title=name)
            for name, comparison in made.comparisons.items()
        ),
        panels=tuple(methods_panel(comparison, NAMES, title=name) for name, comparison in made.comparisons.items()),
        shown=shown,
        not_shown=not_shown,
        caveats=(
            "kd has its published weights, 0.1 CE + 0.9 KL, and is not tuned; the others have the task weight of dkd.",
            *caveats_of(made.comparisons),
        ),
    )


STUDY = Study(
    question="What do the two halves of distillation do alone: the target class (TCKD), and the other classes (NCKD)?",
    trials=trials,
    findings=findings,
)
