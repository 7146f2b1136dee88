"""What does a better teacher bring: one of growing size, or of another family?

One student under a series of teachers, by the weight-matched control and by dkd, each tuned as the recipe says.
"""

from collections.abc import Mapping
from dataclasses import replace

from decant.engine import read_summary
from decant.engine.teacher import teacher_folder
from decant.evidence import Interval, Panel, Series, Table
from decant.recipe import KD_MATCHED, NetworkSettings, Recipe, load_recipe, shipped_recipes
from decant.studies.claims import Claim, across, caveats_of, claim, on_decoupling, told
from decant.studies.side_by_side import TOP1
from decant.studies.sizes import Size, teacher_of, with_teacher
from decant.studies.study import Made, Reading, Study, Trial

NAMES = (KD_MATCHED, "dkd")
_SERIES = {
    "paper": ("resnet56", "resnet110", "resnet32x4", "wrn_40_2", "vgg13", "ResNet50"),
    "quick": ("resnet8", "resnet14", "resnet20", "resnet56", "wrn_16_2"),
    "demo": ("digits_student", "digits_teacher"),
}
"""Teachers: first those of the student's own family by size, then others."""
_SHELF = {"paper": "cifar100/teachers", "quick": "quick", "demo": ""}


def _taught_by(size: Size, name: str) -> Recipe:
    """The recipe of a teacher: the shipped one, or that of the size's own teacher with another network."""
    own = teacher_of(size.recipe)
    if name == own.student.name:
        return own
    shelf = shipped_recipes()
    shipped = f"{_SHELF[size.name]}/{name}"
    return load_recipe(shelf[shipped]) if shipped in shelf else replace(own, student=NetworkSettings(name))


def _recipes(size: Size) -> Mapping[str, tuple[str, Recipe]]:
    """Teacher -> the name of its comparison, and the recipe."""
    student = size.recipe.student.name
    return {
        name: (f"{name}-{student}", with_teacher(size.recipe, _taught_by(size, name))) for name in _SERIES[size.name]
    }


def trials(size: Size) -> dict[str, Trial]:
    """One comparison per teacher; the student alone is in that of the size's own, since no teacher touches it."""
    return {
        trial: Trial(recipe, ("supervised", *NAMES) if trial == size.pair else NAMES)
        for trial, recipe in _recipes(size).values()
    }


def findings(made: Made) -> Reading:
    """Students by the accuracy of their teacher, and what each teacher brings over none."""
    recipes = _recipes(made.size)
    own = made.comparisons[made.size.pair]
    rows, gains, accuracies = [], {}, {}
    for name, (trial, recipe) in recipes.items():
        comparison = made.comparisons[trial]
        accuracies[name] = float(comparison.teachers[0]["top1"])
        gains[name] = {method: across(comparison, method, own, "supervised") for method in NAMES}
        rows.append(
            (
                name,
                _parameters(made, recipe),
                accuracies[name],
                *(comparison.result(method).last_score for method in NAMES),
                *(gains[name][method] for method in NAMES),
                comparison.difference("dkd", KD_MATCHED),
                len(comparison.seeds),
            )
        )
    headings = ("teacher", "parameters", "teacher, %", *(f"{method}, %" for method in NAMES))
    headings += tuple(f"{method} against supervised [95%]" for method in NAMES)
    shown, not_shown = told(_claims(made, gains))
    alone = own.result("supervised").last_score
    return Reading(
        tables=(Table((*headings, f"dkd against {KD_MATCHED} [95%]", "seeds"), tuple(rows)),),
        panels=(
            Panel(
                "students by their teacher",
                "top-1 of the teacher on test, %",
                TOP1,
                tuple(_line(made, recipes, method, accuracies) for method in NAMES),
                levels={"student alone": alone.mean},
            ),
        ),
        shown=shown,
        not_shown=not_shown,
        caveats=(
            "Each teacher is one training of its network: another seed of it may teach otherwise, and no interval says "
            "so.",
            *caveats_of(made.comparisons),
        ),
    )


def _parameters(made: Made, recipe: Recipe) -> int:
    return int(read_summary(teacher_folder(made.places.teachers, teacher_of(recipe)))["parameters"])


def _claims(made: Made, gains: Mapping[str, Mapping[str, Interval]]) -> list[Claim]:
    claims = [
        claim(gain, f"taught by {name}, {method} against supervised")
        for name, by_method in gains.items()
        for method, gain in by_method.items()
    ]
    return claims + on_decoupling(made.comparisons)


def _line(
    made: Made, recipes: Mapping[str, tuple[str, Recipe]], method: str, accuracies: Mapping[str, float]
) -> Series:
    names = sorted(recipes, key=lambda name: accuracies[name])
    intervals = [made.comparisons[recipes[name][0]].interval(method) for name in names]
    return Series(
        method,
        tuple(accuracies[name] for name in names),
        tuple(interval.mean for interval in intervals),
        tuple(interval.low for interval in intervals),
        tuple(interval.high for interval in intervals),
        labels=tuple(names) if method == NAMES[0] else (),
        joined=False,
    )


STUDY = Study(
    question="What does a better teacher bring: one of growing size, or of another family?",
    trials=trials,
    findings=findings,
)
