"""Is it the decoupling or the weight, as a function of how sure the teacher is?

dkd against CE + w KL, both tuned on equal terms on validation images, under teachers trained short and long and at
temperatures from low to high. How sure a teacher is, the mean of p_t over the training set, is measured. Where p_t is
near 1 the coupled form all but drops the other classes: if decoupling helps anywhere, it should be there.
"""

from dataclasses import dataclass, replace

import numpy as np

from decant.engine import find_teacher, load_data, read_summary
from decant.engine.predictions import predict
from decant.evidence import Interval, Panel, Table, mean_interval, paired_differences
from decant.recipe import KD_MATCHED, MultiStep, Recipe
from decant.studies.claims import Claim, caveats_of, claim, on_decoupling, told
from decant.studies.side_by_side import with_intervals
from decant.studies.sizes import Size, holding_out, teacher_of, with_teacher
from decant.studies.study import Made, Reading, Study, Trial, comparing
from decant.studies.terms import dkd_settings

NAMES = (KD_MATCHED, "dkd")
_LENGTHS = {"paper": (0.125, 0.5, 1.0), "quick": (0.25, 1.0, 3.0), "demo": (0.2, 1.0, 4.0)}
"""How long teachers are trained, of their recipe's epochs."""
_TEMPERATURES = {"paper": (1.0, 2.0, 4.0, 8.0), "quick": (1.0, 4.0, 8.0), "demo": (1.0, 2.0, 4.0, 8.0)}
_CANDIDATES = {"paper": (2.0, 8.0, 32.0), "quick": (2.0, 8.0, 32.0), "demo": (1.0, 4.0, 16.0, 64.0)}
"""Of beta and of w alike: the coupled form needs large ones where p_t is near 1."""
_STEP = 0.1
"""The slope is told per so much of p_t."""


@dataclass(frozen=True)
class _Case:
    """A teacher and a temperature."""

    trial: str
    epochs: int
    temperature: float
    recipe: Recipe


def lasting(recipe: Recipe, share: float) -> Recipe:
    """The recipe with so much of its epochs, its milestones moved along."""
    train = recipe.train
    epochs = max(1, round(share * train.epochs))
    schedule = train.schedule
    if isinstance(schedule, MultiStep):
        moved = sorted({max(1, round(share * milestone)) for milestone in schedule.milestones})
        schedule = replace(schedule, milestones=tuple(moved))
    return replace(recipe, train=replace(train, epochs=epochs, schedule=schedule))


def _cases(size: Size) -> list[_Case]:
    base = holding_out(size.recipe)
    dkd, grid = dkd_settings(base), _CANDIDATES[size.name]
    tune = {"dkd": {"beta": grid}, KD_MATCHED: {"weight": grid}}
    cases = []
    for share in _LENGTHS[size.name]:
        teacher = lasting(teacher_of(base), share)
        for temperature in _TEMPERATURES[size.name]:
            # kd-matched is derived from these settings, whatever the recipe says of it at its own temperature.
            others = {name: method for name, method in base.compare.methods.items() if name != KD_MATCHED}
            plain = replace(base, compare=replace(base.compare, methods=others))
            recipe = comparing(plain, {"dkd": replace(dkd, temperature=temperature)}, tune)
            epochs = teacher.train.epochs
            trial = f"{size.pair}-teacher-{epochs}-T{temperature:g}"
            cases.append(_Case(trial, epochs, temperature, with_teacher(recipe, teacher)))
    return cases


def trials(size: Size) -> dict[str, Trial]:
    """One comparison per teacher and temperature."""
    return {case.trial: Trial(case.recipe, NAMES) for case in _cases(size)}


def findings(made: Made) -> Reading:
    """The difference by how sure the teacher is, and its slope over all cases."""
    cases = _cases(made.size)
    sureness = {case.trial: _sureness(made, case) for case in cases}
    gains = {case.trial: made.comparisons[case.trial].difference("dkd", KD_MATCHED) for case in cases}
    slope = _slope(made, sureness)
    claims = [
        Claim(f"p_t {sureness[one.trial]:.3f}, {said.text}", said.shown)
        for one, said in zip(cases, on_decoupling(made.comparisons), strict=True)
    ]
    claims.append(claim(slope, f"slope of dkd - {KD_MATCHED} over p_t", f"points per {_STEP:g} of p_t"))
    shown, not_shown = told(claims)
    rows = []
    for case in sorted(cases, key=lambda case: sureness[case.trial]):
        comparison = made.comparisons[case.trial]
        dkd, control = comparison.result("dkd"), comparison.result(KD_MATCHED)
        rows.append(
            (
                case.epochs,
                f"{case.temperature:g}",
                comparison.teachers[0].get("top1"),
                sureness[case.trial],
                f"{dkd.settings['beta']:g}",
                f"{control.settings['weight']:g}",
                dkd.last_score,
                control.last_score,
                gains[case.trial],
                len(comparison.seeds),
            )
        )
    headings = ("teacher's epochs", "T", "teacher, %", "mean p_t at T", "beta", "w", "dkd, %", f"{KD_MATCHED}, %")
    return Reading(
        tables=(Table((*headings, f"dkd - {KD_MATCHED} [95%]", "seeds"), tuple(rows)),),
        panels=(_panel(cases, sureness, gains),),
        shown=shown,
        not_shown=not_shown,
        caveats=(
            "p_t is the mean over the training images as they are, not over their augmented views.",
            "A teacher that is surer at one temperature has also been trained longer, or the temperature is lower: p_t "
            "does not change by itself. The slope is over all cases, with every seed's slope as one value.",
            *caveats_of(made.comparisons),
        ),
    )


def _sureness(made: Made, case: _Case) -> float:
    """The mean of p_t over the training images, measured once per teacher and temperature."""
    (teacher,) = made.comparisons[case.trial].teachers
    images = read_summary(made.run(case.trial, "dkd", made.comparisons[case.trial].seeds[0]))["data"]

    def work() -> float:
        splits = load_data(case.recipe, made.places)
        found = find_teacher(case.recipe, splits, made.places, reporter=made.reporter)
        assert found is not None, "the comparison had one"
        said = predict(found.network, splits.train, splits.train.device)
        return float(said.sureness(case.temperature).mean())

    value: float = made.kept.measure(
        f"mean p_t: teacher {teacher['sha256']}, images {images}, T {case.temperature:g}", work
    )
    return value


def _slope(made: Made, sureness: dict[str, float]) -> Interval:
    """Least-squares slope of the difference over p_t, by seed: every seed met every case."""
    names = list(sureness)
    x = np.array([sureness[name] for name in names]) / _STEP
    differences = [
        paired_differences(made.comparisons[name].result("dkd").last, made.comparisons[name].result(KD_MATCHED).last)
        for name in names
    ]
    slopes = [float(np.polyfit(x, np.array([each[seed] for each in differences]), 1)[0]) for seed in differences[0]]
    return mean_interval(slopes)


def _panel(cases: list[_Case], sureness: dict[str, float], gains: dict[str, Interval | None]) -> Panel:
    series = []
    for epochs in dict.fromkeys(case.epochs for case in cases):
        along = sorted((case for case in cases if case.epochs == epochs), key=lambda case: sureness[case.trial])
        points = [(sureness[case.trial], gain, case) for case in along if (gain := gains[case.trial]) is not None]
        line = with_intervals(f"teacher of {epochs} epochs", [x for x, _, _ in points], [gain for _, gain, _ in points])
        series.append(replace(line, labels=tuple(f"T {case.temperature:g}" for _, _, case in points)))
    return Panel(
        f"dkd - {KD_MATCHED}, both tuned",
        "mean p_t of the teacher at T, training set",
        "percentage points of top-1",
        tuple(series),
        levels={"no difference": 0.0},
    )


STUDY = Study(
    question="Is it the decoupling or the weight, as a function of how sure the teacher is?",
    trials=trials,
    findings=findings,
)
