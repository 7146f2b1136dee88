"""What does classical distillation lose by weighting the other classes with 1 - p_t, and whose other classes teach?

NCKD with weight 1 against weight 1 - p_t, which is what it has inside of classical distillation; and NCKD on the half
of each batch of which the teacher is surer, against the half of which it is less sure. No other term but the task's.
"""

from dataclasses import replace

from decant.interfaces import MethodSettings
from decant.studies.claims import caveats_of, difference, told
from decant.studies.side_by_side import methods_panel, methods_table
from decant.studies.sizes import Size
from decant.studies.study import Made, Reading, Study, Trial, comparing
from decant.studies.terms import candidates, dkd_settings, nckd_settings

NAMES = ("supervised", "nckd", "nckd-suppressed", "nckd-confident", "nckd-unsure")
_WORDS = {
    "supervised": "the student alone",
    "nckd": "NCKD, every sample with weight 1",
    "nckd-suppressed": "NCKD, every sample with weight 1 - p_t",
    "nckd-confident": "NCKD on the surer half of each batch",
    "nckd-unsure": "NCKD on the less sure half of each batch",
}


def trials(size: Size) -> dict[str, Trial]:
    """One comparison; where the recipe tunes dkd, each variant's weight has the same candidates."""
    whole = nckd_settings(dkd_settings(size.recipe))
    methods: dict[str, MethodSettings] = {
        "nckd": whole,
        "nckd-suppressed": replace(whole, suppress=True),
        "nckd-confident": replace(whole, samples="confident"),
        "nckd-unsure": replace(whole, samples="unsure"),
    }
    grid = candidates(size.recipe)
    tune = {name: {"weight": grid} for name in methods} if grid else None
    return {size.pair: Trial(comparing(size.recipe, methods, tune), NAMES)}


def findings(made: Made) -> Reading:
    """The suppressed against the whole, and the halves against each other."""
    ((name, comparison),) = made.comparisons.items()
    pairs = [("nckd", "nckd-suppressed"), ("nckd-confident", "nckd-unsure"), ("nckd", "nckd-confident")]
    shown, not_shown = told(
        [difference(comparison, method, to) for method, to in pairs]
        + [difference(comparison, method, "supervised") for method in NAMES[1:]]
    )
    return Reading(
        tables=(methods_table(comparison, NAMES, ("supervised", "nckd"), words=_WORDS),),
        panels=(methods_panel(comparison, NAMES, title=name, level="supervised"),),
        shown=shown,
        not_shown=not_shown,
        caveats=(
            "A sample of the half that counts has the weight that it has in the whole: on a half, NCKD is about half "
            "as large. Where the weights were tuned, each variant could make up for it.",
            "The halves are those of each batch of training views, by the teacher's p_t at the method's temperature.",
            *caveats_of(made.comparisons),
        ),
    )


STUDY = Study(
    question="What does classical distillation lose by weighting the other classes with 1 - p_t, and whose other "
    "classes teach?",
    trials=trials,
    findings=findings,
)
