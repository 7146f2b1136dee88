"""What differs inside of a distilled student: its features, how its classes go together, its confidence?

On the test images: a map of the penultimate features (t-SNE), the difference between the teacher's and the student's
logit correlation matrices, and calibration. The numbers are of every seed, the pictures of the first.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from decant.data import Images
from decant.engine import find_teacher, load_data
from decant.engine.predictions import Predictions, predict, student_of
from decant.evidence import Heatmap, Interval, Panel, Series, Table, mean_std, paired_interval
from decant.evidence.correlation import correlation_difference
from decant.recipe import KD_MATCHED
from decant.studies.claims import Claim, caveats_of, claim, told
from decant.studies.sizes import Size
from decant.studies.study import Made, Reading, Study, Trial

NAMES = ("supervised", KD_MATCHED, "dkd")
_TAP = "pooled"
_CLASSES, _IMAGES = 10, 1000
"""At most so many classes and images are on a map."""
_DIGITS = 4
_MEASURES = {
    "ece": ("expected calibration error", "points of expected calibration error"),
    "correlation": ("difference of logit correlations", "hundredths of correlation"),
}


def trials(size: Size) -> dict[str, Trial]:
    """One comparison, tuned as the recipe says."""
    return {size.pair: Trial(size.recipe, NAMES)}


def findings(made: Made) -> Reading:
    """Calibration and correlation of every run, and the pictures of the first seed."""
    ((trial, comparison),) = made.comparisons.items()
    seeds = comparison.seeds
    (sha,) = [teacher["sha256"] for teacher in comparison.teachers]
    looked = _Looked(made, trial)
    teacher = made.kept.measure(f"teacher {sha}", lambda: looked.teacher_facts())
    facts = {
        name: {seed: looked.kept_facts(name, seed, beside=sha, whole=seed == seeds[0]) for seed in seeds}
        for name in NAMES
    }
    values = {
        measure: {name: {seed: 100 * facts[name][seed][measure] for seed in seeds} for name in NAMES}
        for measure in _MEASURES
    }
    shown, not_shown = told(_claims(values))
    first = {name: facts[name][seeds[0]] for name in NAMES}
    return Reading(
        tables=(_table(teacher, values, len(seeds)),),
        panels=(
            *(_map(name, one["map"]) for name, one in {"teacher": teacher, **first}.items()),
            _diagram({"teacher": teacher, **first}),
            *_matrices(first),
        ),
        shown=shown,
        not_shown=not_shown,
        caveats=(
            "A t-SNE map shows who is near whom; distances between groups and their sizes mean nothing, and another "
            "seed of it looks otherwise.",
            f"The maps, the diagram and the matrices are of seed {seeds[0]} alone; the table is of all seeds.",
            "Calibration is that of the logits as trained, in 15 bins of equal width; small differences depend on the "
            "bins.",
            *caveats_of(made.comparisons),
        ),
    )


class _Looked:
    """Students and teacher of a comparison on its test images; the data is loaded when first asked for."""

    def __init__(self, made: Made, trial: str) -> None:
        self._made, self._trial, self._recipe = made, trial, made.trials[trial].recipe
        self._teacher: Predictions | None = None
        self._images: Images | None = None

    def kept_facts(self, method: str, seed: int, *, beside: str, whole: bool) -> dict[str, Any]:
        """Numbers of one run, measured once; with ``whole`` also what its pictures are drawn from."""

        def work() -> dict[str, Any]:
            self._load()
            assert self._images is not None
            assert self._teacher is not None
            student = student_of(self._made.run(self._trial, method, seed), self._images)
            said = predict(student, self._images, self._images.device, tap=_TAP)
            return _summary(said, self._teacher, whole=whole)

        name = f"{self._trial}/{method}/seed-{seed} beside teacher {beside}"
        found: dict[str, Any] = self._made.kept.measure(name, work)
        return found

    def teacher_facts(self) -> dict[str, Any]:
        """The same of the teacher, which agrees with itself."""
        self._load()
        assert self._teacher is not None
        return _summary(self._teacher, self._teacher, whole=True)

    def _load(self) -> None:
        if self._images is not None:
            return
        splits = load_data(self._recipe, self._made.places)
        teacher = find_teacher(self._recipe, splits, self._made.places, reporter=self._made.reporter)
        assert teacher is not None, "the comparison had one"
        self._images = splits.test
        self._teacher = predict(teacher.network, splits.test, splits.test.device, tap=_TAP)


def _summary(said: Predictions, teacher: Predictions, *, whole: bool) -> dict[str, Any]:
    bins = said.calibration()
    matrix, mean = correlation_difference(said.logits.numpy(), teacher.logits.numpy())
    facts: dict[str, Any] = {"ece": bins.error, "correlation": mean}
    if whole:
        assert said.feature is not None, "it was asked for"
        facts |= {
            "confidence": bins.confidence,
            "accuracy": bins.accuracy,
            "matrix": matrix.round(_DIGITS).tolist(),
            "map": _placed(said.feature, said.target),
        }
    return facts


def _placed(feature: Tensor, target: Tensor) -> dict[str, list[list[float]]]:
    """Class index -> places on a map of the first classes' images, by t-SNE (van der Maaten, Hinton 2008)."""
    from sklearn.manifold import TSNE  # here: importing it takes seconds

    chosen = (target < _CLASSES).nonzero()[:, 0][:_IMAGES]
    perplexity = min(30.0, (len(chosen) - 1) / 3)
    places = TSNE(init="pca", random_state=0, perplexity=perplexity).fit_transform(feature[chosen].double().numpy())
    places = np.asarray(places, dtype=np.float64).round(_DIGITS)
    return {str(label): places[target[chosen] == label].tolist() for label in torch.unique(target[chosen]).tolist()}


def _claims(values: Mapping[str, Mapping[str, Mapping[int, float]]]) -> list[Claim]:
    return [
        claim(_between(by_method, method, to), f"{words}, {method} against {to}", unit)
        for measure, (words, unit) in _MEASURES.items()
        for by_method in [values[measure]]
        for method, to in ((KD_MATCHED, "supervised"), ("dkd", "supervised"), ("dkd", KD_MATCHED))
    ]


def _between(by_method: Mapping[str, Mapping[int, float]], method: str, to: str) -> Interval | None:
    return None if method == to else paired_interval(by_method[method], by_method[to])


def _table(teacher: Mapping[str, Any], values: Mapping[str, Mapping[str, Mapping[int, float]]], seeds: int) -> Table:
    headings = ["network"]
    for words, _ in _MEASURES.values():
        headings += [f"{words}, x 100", "against supervised [95%]"]
    rows: list[tuple[Any, ...]] = [("teacher", *(part for m in _MEASURES for part in (100 * teacher[m], None)), 1)]
    for name in NAMES:
        row: list[Any] = [name]
        for measure in _MEASURES:
            row += [mean_std(values[measure][name].values()), _between(values[measure], name, "supervised")]
        rows.append((*row, seeds))
    return Table(
        (*headings, "seeds"),
        tuple(rows),
        note="Difference of logit correlations: absolute difference to the teacher's, mean over pairs of classes.",
    )


def _map(name: str, places: Mapping[str, list[list[float]]]) -> Panel:
    series = tuple(
        Series(
            f"class {label}" if name == "teacher" else "",
            tuple(x for x, _ in points),
            tuple(y for _, y in points),
            joined=False,
        )
        for label, points in places.items()
    )
    return Panel(f"penultimate features, t-SNE: {name}", "", "", series)


def _diagram(facts: Mapping[str, Mapping[str, Any]]) -> Panel:
    lines = [Series(name, tuple(one["confidence"]), tuple(one["accuracy"])) for name, one in facts.items()]
    perfect = Series("as sure as right", (0.0, 1.0), (0.0, 1.0))
    return Panel("reliability", "confidence", "share that is right", (perfect, *lines))


def _matrices(facts: Mapping[str, Mapping[str, Any]]) -> list[Heatmap]:
    highest = max(max(map(max, one["matrix"])) for one in facts.values())
    return [
        Heatmap(
            f"logit correlations, difference to the teacher: {name}",
            tuple(tuple(row) for row in one["matrix"]),
            "absolute difference",
            highest=highest,
        )
        for name, one in facts.items()
    ]


STUDY = Study(
    question="What differs inside of a distilled student: its features, how its classes go together, its confidence?",
    trials=trials,
    findings=findings,
)
