"""Are a distilled student's features worth more on other data than those of the student alone?

A linear classifier on the frozen student's penultimate features, trained and tested on Tiny-ImageNet and on STL-10 as
far as they are there; at the demo's size on made-up patterns. The teacher's features stand beside them.
"""

from typing import Any

from decant.data import ImageSet
from decant.data.probe_sets import PROBE_SETS, is_there, load_probe_set
from decant.engine import Places, find_teacher, load_data
from decant.engine.linear_probe import PROTOCOL, linear_probe
from decant.engine.parallel import Parallel
from decant.engine.predictions import predict, student_of
from decant.evidence import Cell, Panel, Table, mean_interval, mean_std, paired_interval
from decant.recipe import KD_MATCHED
from decant.studies.claims import Claim, caveats_of, claim, told
from decant.studies.side_by_side import with_intervals
from decant.studies.sizes import Size
from decant.studies.study import Made, Reading, Study, Trial

NAMES = ("supervised", KD_MATCHED, "dkd")
_SETS = {"paper": ("tiny-imagenet", "stl10"), "quick": ("tiny-imagenet", "stl10"), "demo": ("fake",)}
_TAP = "pooled"


def trials(size: Size) -> dict[str, Trial]:
    """One comparison, tuned as the recipe says."""
    return {size.pair: Trial(size.recipe, NAMES)}


def needs(size: Size, places: Places) -> None:
    """Refuse to begin where there is nothing to transfer to.

    Raises:
        FileNotFoundError: none of the data sets is there.
    """
    if not _found(size, places):
        folders = " nor ".join(PROBE_SETS[name] for name in _SETS[size.name])
        raise FileNotFoundError(
            f"transfer asks about other data, but {places.data} has neither {folders}; put one of them there, in its "
            "published layout, or name another folder with --data"
        )


def _found(size: Size, places: Places) -> list[str]:
    return [name for name in _SETS[size.name] if is_there(name, places.data)]


def findings(made: Made) -> Reading:
    """Top-1 of the probe for every student and the teacher, data set by data set."""
    ((trial, comparison),) = made.comparisons.items()
    sets = _found(made.size, made.places)
    probed = _Probed(made, trial)
    scores = {
        name: {method: {seed: probed.student(name, method, seed) for seed in comparison.seeds} for method in NAMES}
        for name in sets
    }
    claims: list[Claim] = []
    rows: list[tuple[Cell, ...]] = []
    for name, by_method in scores.items():
        rows.append((name, "teacher", probed.teacher(name), None, 1))
        for method in NAMES:
            gain = paired_interval(by_method[method], by_method["supervised"]) if method != "supervised" else None
            rows.append((name, method, mean_std(by_method[method].values()), gain, len(comparison.seeds)))
            if gain is not None:
                claims.append(claim(gain, f"{name}: {method} against supervised", "points of top-1 of the probe"))
        both = paired_interval(by_method["dkd"], by_method[KD_MATCHED])
        claims.append(claim(both, f"{name}: dkd against {KD_MATCHED}", "points of top-1 of the probe"))
    shown, not_shown = told(claims)
    absent = [name for name in _SETS[made.size.name] if name not in sets]
    return Reading(
        tables=(
            Table(("data", "features of", "top-1 of the probe, %", "against supervised [95%]", "seeds"), tuple(rows)),
        ),
        panels=tuple(
            Panel(
                f"linear probe on {name}",
                "",
                "top-1, %",
                (
                    with_intervals(
                        "mean and 95% interval",
                        range(len(NAMES)),
                        [mean_interval(by_method[method].values()) for method in NAMES],
                        joined=False,
                    ),
                ),
                levels={"teacher": probed.teacher(name)},
                ticks={float(place): method for place, method in enumerate(NAMES)},
            )
            for name, by_method in scores.items()
        ),
        shown=shown,
        not_shown=not_shown,
        caveats=(
            "Protocol of the probe: penultimate features of the images as they are, resized to those that the student "
            "knows; the student frozen, BatchNorm included; a linear classifier on standardised features, SGD for "
            f"{PROTOCOL.epochs} epochs of batches of {PROTOCOL.batch_size}, learning rate {PROTOCOL.learning_rate:g}, "
            "a tenth of it after epochs 20 and 30, momentum 0.9, no weight decay; last epoch.",
            "The protocol is ours: numbers of other protocols cannot be held against these.",
            *(f"{name} was not asked: {PROBE_SETS[name]} was not there." for name in absent),
            *caveats_of(made.comparisons),
        ),
    )


class _Probed:
    """Probes of a comparison's networks, each made once; data is loaded when first asked for."""

    def __init__(self, made: Made, trial: str) -> None:
        self._made, self._trial, self._recipe = made, trial, made.trials[trial].recipe
        (self._sha,) = (teacher["sha256"] for teacher in made.comparisons[trial].teachers)
        self._known: ImageSet | None = None
        self._sets: dict[str, tuple[ImageSet, ImageSet]] = {}

    def student(self, name: str, method: str, seed: int) -> float:
        """Top-1 of the probe on the features of a run's student."""
        run = self._made.run(self._trial, method, seed)

        def work() -> float:
            return self._probe(student_of(run, self._like()), name, seed)

        key = f"{name}: {self._trial}/{method}/seed-{seed}, teacher {self._sha}"
        score: float = self._made.kept.measure(key, work)
        return score

    def teacher(self, name: str) -> float:
        """The same of the teacher."""

        def work() -> float:
            splits = load_data(self._recipe, self._made.places)
            teacher = find_teacher(self._recipe, splits, self._made.places, reporter=self._made.reporter)
            assert teacher is not None, "the comparison had one"
            return self._probe(teacher.network, name, 0)

        score: float = self._made.kept.measure(f"{name}: teacher {self._sha}", work)
        return score

    def _like(self) -> ImageSet:
        if self._known is None:
            train = load_data(self._recipe, self._made.places).train
            assert isinstance(train, ImageSet), "the sizes' data sets are held whole"
            self._known = train
        return self._known

    def _probe(self, network: Any, name: str, seed: int) -> float:
        if name not in self._sets:
            self._sets[name] = load_probe_set(name, self._made.places.data, like=self._like())
        parallel = Parallel(device=self._made.places.device)
        train, test = (predict(network, images, parallel.device, tap=_TAP) for images in self._sets[name])
        return linear_probe(train, test, seed=seed, parallel=parallel)


STUDY = Study(
    question="Are a distilled student's features worth more on other data than those of the student alone?",
    trials=trials,
    findings=findings,
    needs=needs,
)
