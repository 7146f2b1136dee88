"""What does the target class (TCKD) add as the task gets harder: stronger augmentation, wrong labels, harder data?

NCKD alone against dkd, which is NCKD with TCKD beside it, on the plain task and on harder ones. The teacher learns the
same task as its student, wrong labels included; test labels are always right.
"""

from dataclasses import replace
from typing import Any

from decant.engine.suite import suite
from decant.evidence import Panel, Table
from decant.recipe import Recipe, TeacherSettings
from decant.studies.claims import caveats_of, claim, told
from decant.studies.side_by_side import with_intervals
from decant.studies.sizes import Size, teacher_of
from decant.studies.study import Made, Reading, Study, Trial
from decant.studies.terms import with_halves

NAMES = ("supervised", "nckd", "dkd")
NOISE = (0.1, 0.2, 0.3)
"""Shares of wrong labels."""


def _on(recipe: Recipe, **changes: Any) -> Recipe:
    """The recipe on other data, and its teacher too."""
    taught_by = teacher_of(recipe)
    teacher = TeacherSettings(recipe=replace(taught_by, data=replace(taught_by.data, **changes)))
    return replace(recipe, data=replace(recipe.data, **changes), teacher=teacher)


def _tasks(size: Size) -> dict[str, tuple[str, Recipe]]:
    """What is harder -> the name of its comparison, and the recipe."""
    recipe, pair = size.recipe, size.pair
    # RandAugment has too many views to keep the teacher's answers, so that no task of this study has a table.
    recipe = replace(recipe, train=replace(recipe.train, teacher_cache="none"))
    tasks = {"as it is": (pair, size.recipe), "RandAugment": (f"{pair}-randaugment", _on(recipe, all_strong=True))}
    for share in NOISE:
        tasks[f"{share:.0%} wrong labels"] = (f"{pair}-noise-{share:g}", _on(recipe, label_noise=share))
    if size.name == "paper":
        easier = suite("cifar100")[pair]
        tasks["ten classes (cifar10)"] = (f"{pair}-cifar10", _on(easier, name="cifar10"))
    return tasks


def trials(size: Size) -> dict[str, Trial]:
    """One comparison per task."""
    return {name: Trial(with_halves(recipe), NAMES) for name, recipe in _tasks(size).values()}


def findings(made: Made) -> Reading:
    """The difference between dkd and NCKD alone, task by task."""
    tasks = {what: made.comparisons[name] for what, (name, _) in _tasks(made.size).items()}
    gains = {what: comparison.difference("dkd", "nckd") for what, comparison in tasks.items()}
    claims = [claim(gain, f"{what}: dkd against nckd (what TCKD adds)") for what, gain in gains.items()]
    rows = tuple(
        (
            what,
            *(comparison.result(name).last_score for name in NAMES),
            gains[what],
            comparison.teachers[0].get("top1"),
            len(comparison.seeds),
        )
        for what, comparison in tasks.items()
    )
    columns = tuple(f"{name}, %" for name in NAMES)
    shown, not_shown = told(claims)
    series = with_intervals("dkd - nckd", range(len(gains)), [gain for gain in gains.values() if gain], joined=False)
    return Reading(
        tables=(Table(("task", *columns, "what TCKD adds [95%]", "teacher, %", "seeds"), rows),),
        panels=(
            Panel(
                "what TCKD adds",
                "",
                "percentage points of top-1",
                (series,),
                levels={"nothing": 0.0},
                ticks={float(place): what for place, what in enumerate(gains)},
            ),
        ),
        shown=shown,
        not_shown=not_shown,
        caveats=(
            "That TCKD adds more to a harder task is a difference between the rows, whose intervals stand for "
            "themselves: rows that overlap do not show it.",
            *(
                ()
                if made.size.name == "paper"
                else (
                    "A harder data set is asked only at the paper's size, where cifar10 is the easier one beside it.",
                )
            ),
            *caveats_of(made.comparisons),
        ),
    )


STUDY = Study(
    question="What does the target class (TCKD) add as the task gets harder: stronger augmentation, wrong labels, "
    "harder data?",
    trials=trials,
    findings=findings,
)
