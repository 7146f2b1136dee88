"""Sections of a page on students beside their teacher: who is right about what, calibration, correlations."""

from collections.abc import Iterator, Mapping

from decant.evidence import Heatmap, Panel, Run, Series
from decant.evidence.gathering import RunGroup
from decant.report.beside_teacher import Beside, ClassCount, Onlooker
from decant.report.figures import Grid, figure_of, grid
from decant.report.parts import Figures, Gallery, Part, Section, Table, sentences

_HOW = (
    "This needs the data, the teacher and the weights of the runs: give --data (and --teachers, where they are not in "
    "runs/teachers). Nothing is trained or downloaded for it."
)
_TEACHER, _PERFECT = "teacher", "as sure as right"
_SHOWN_CLASSES = 12
"""Classes that the figure shows: those on which the two differ most. The table has all of them."""


def beside_sections(group: RunGroup, onlooker: Onlooker | None) -> tuple[Section, ...]:
    """The first finished run of each method beside the group's teacher; sentences on how to get that where it is not.

    Args:
        group: the runs.
        onlooker: asks the networks; None where no data was given.
    """
    heading = "Student and teacher"
    if group.every_run[0].recipe.get("task", "classification") != "classification":
        return ()  # all of it is about one answer to each image
    if onlooker is None:
        return (Section(heading, (sentences([_HOW]),)),)
    firsts = {method: run for method, runs in group.runs.items() if (run := _first(runs)) is not None}
    taught = next((run for run in firsts.values() if (run.summary or {}).get("teacher")), None)
    if taught is None:
        return (Section(heading, (sentences(["No finished run of this group had a teacher."]),)),)
    seen: dict[str, Beside] = {}
    reasons: list[str] = []
    for method, run in firsts.items():
        try:
            seen[method] = onlooker.look(run, taught)
        except (ValueError, OSError, ImportError) as error:
            reasons.append(f"{method}: {error}.")
    if not seen:
        return (Section(heading, (sentences([*reasons, _HOW]),)),)
    seeds = ", ".join(f"{method} seed {firsts[method].seed}" for method in seen)
    images = next(iter(seen.values())).images
    about = f"On the images of {images}, with the first finished run of each method: {seeds}."
    return (
        Section(heading, (sentences([about, *reasons]), Table("", _totals(seen)), *_by_class(seen))),
        *(Section(f"Where {method} and its teacher differ", tuple(_galleries(one))) for method, one in seen.items()),
        Section(
            "Calibration",
            (
                Table("", _errors(seen)),
                Figures((figure_of(_diagram(seen), {name: name for name in (*group.runs, _TEACHER, _PERFECT)}),)),
            ),
        ),
        Section("Logit correlations", tuple(_correlations(seen))),
    )


def _first(runs: tuple[Run, ...]) -> Run | None:
    return next((run for run in runs if run.finished), None)


_COUNTS = ("both right", "teacher alone", "student alone", "neither", "same answer")


def _totals(seen: Mapping[str, Beside]) -> Grid:
    rows = []
    for method, one in seen.items():
        totals = [sum(column) for column in zip(*map(_row, one.classes), strict=True)]
        rows.append([method, *(f"{100 * count / totals[0]:.2f}" for count in totals[1:])])
    headings = ["method", *(f"{count}, %" for count in _COUNTS)]
    return grid(headings, rows, [False, *[True] * 5], "Shares of all images; same answer: right or wrong alike.")


def _row(one: ClassCount) -> tuple[int, ...]:
    return (one.images, one.both, one.teacher_alone, one.student_alone, one.neither, one.same_answer)


def _by_class(seen: Mapping[str, Beside]) -> Iterator[Part]:
    for method, one in seen.items():
        rows = [[each.name, *map(str, _row(each))] for each in one.classes]
        table = grid(["class", "images", *_COUNTS], rows, [False, *[True] * 6])
        yield Table(f"{method}: every class", table, folded=True)
    yield Figures(tuple(figure_of(_differing(method, one)) for method, one in seen.items()))


def _differing(method: str, one: Beside) -> Panel:
    """The classes on which one of the two alone is right most often."""
    chosen = sorted(one.classes, key=lambda each: -(each.teacher_alone + each.student_alone))[:_SHOWN_CLASSES]
    places = tuple(float(place) for place in range(len(chosen)))
    return Panel(
        f"{method}: classes on which one alone is right",
        "class",
        "images",
        (
            Series("teacher alone", places, tuple(float(each.teacher_alone) for each in chosen), joined=False),
            Series("student alone", places, tuple(float(each.student_alone) for each in chosen), joined=False),
        ),
        ticks={place: each.name for place, each in zip(places, chosen, strict=True)},
    )


def _galleries(one: Beside) -> Iterator[Part]:
    for title, pictures in one.pictures.items():
        yield Gallery(title, pictures) if pictures else sentences([f"No picture: {title}."])


def _errors(seen: Mapping[str, Beside]) -> Grid:
    first = next(iter(seen.values()))
    rows = [[_TEACHER, f"{first.teacher.error:.4f}"]]
    rows += [[method, f"{one.student.error:.4f}"] for method, one in seen.items()]
    return grid(
        ["network", "expected calibration error"],
        rows,
        [False, True],
        "Of the logits as trained, in 15 bins of equal width, 0 to 1; small differences depend on the bins.",
    )


def _diagram(seen: Mapping[str, Beside]) -> Panel:
    first = next(iter(seen.values()))
    bins = {_TEACHER: first.teacher, **{method: one.student for method, one in seen.items()}}
    lines = [Series(name, each.confidence, each.accuracy) for name, each in bins.items()]
    return Panel(
        "Reliability",
        "confidence",
        "share that is right",
        (Series(_PERFECT, (0.0, 1.0), (0.0, 1.0)), *lines),
    )


def _correlations(seen: Mapping[str, Beside]) -> Iterator[Part]:
    rows = [[method, f"{one.correlation[1]:.4f}"] for method, one in seen.items()]
    note = "Absolute difference of student's and teacher's correlations of logits, mean over pairs of classes."
    yield Table("", grid(["method", "mean difference, 0 to 2"], rows, [False, True], note))
    highest = max(float(one.correlation[0].max()) for one in seen.values())
    yield Figures(
        tuple(
            figure_of(
                Heatmap(
                    f"{method}: difference to the teacher's logit correlations, class by class",
                    tuple(tuple(map(float, row)) for row in one.correlation[0]),
                    "difference",
                    highest=highest,
                ),
                names=[each.name for each in one.classes],
            )
            for method, one in seen.items()
        )
    )
