"""What a comparison of methods holds: every seed's numbers, and the figures that follow from them.

Only what was measured is stored; means, spreads and intervals are worked out when asked for, so they cannot disagree.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from decant.evidence.metric import METRICS, Metric
from decant.evidence.statistics import Interval, MeanStd, mean_interval, mean_std, paired_interval

FORMAT = 1
"""Version of the dictionary that ``Comparison.to_json`` makes."""


@dataclass(frozen=True)
class Tuning:
    """How one setting of a method was chosen, before the runs that are compared.

    Attributes:
        parameter: the setting's name, such as ``beta`` or ``method.beta``.
        candidates: value -> mean of what is judged (top-1) on ``split`` in percent.
        chosen: the candidate with the highest mean, which the compared runs use.
        seeds: seeds that every candidate was run with.
        split: the data that decided. ``test`` takes away every verdict: data that selected something proves nothing.

    Raises:
        ValueError: the chosen value is not the best candidate, there is no seed, or the split is unknown.

    >>> Tuning("beta", {2.0: 91.0, 4.0: 92.0}, chosen=4.0, seeds=(100, 101)).chosen
    4.0
    """

    parameter: str
    candidates: Mapping[Any, float]
    chosen: Any
    seeds: tuple[int, ...]
    split: str = "validation"

    def __post_init__(self) -> None:
        object.__setattr__(self, "candidates", dict(self.candidates))
        object.__setattr__(self, "seeds", tuple(self.seeds))
        if self.chosen not in self.candidates:
            raise ValueError(
                f"expected {self.parameter} to be chosen among {list(self.candidates)}, got {self.chosen!r}"
            )
        best = max(self.candidates, key=lambda value: self.candidates[value])
        if self.candidates[self.chosen] < self.candidates[best]:
            raise ValueError(
                f"expected the best candidate to be chosen, {self.parameter} {best!r} with "
                f"{self.candidates[best]}, got {self.chosen!r} with {self.candidates[self.chosen]}"
            )
        if not self.seeds:
            raise ValueError(f"expected the seeds that {self.parameter} was tuned with, got none")
        if self.split not in ("validation", "test"):
            raise ValueError(f"expected the split that decided, validation or test, got {self.split!r}")


@dataclass(frozen=True)
class MethodResult:
    """The runs of one method, as numbers by seed.

    Attributes:
        name: the name in this comparison, such as ``kd-matched``.
        method: the method's own name, such as ``kd``.
        settings: the method's settings without its name.
        last, best: seed -> what is judged, such as top-1, in percent after the last epoch, and the highest of the
            epochs that were judged.
        seconds: seed -> seconds that the run took.
        teachers: seed -> SHA-256 of the teacher's weights, None where none taught.
        tuning: how a setting was chosen, None where the settings were given.
        beside: key of a further number -> seed -> its value in percent after the last epoch; see ``Metric.beside``.
    """

    name: str
    method: str
    settings: Mapping[str, Any]
    last: Mapping[int, float]
    best: Mapping[int, float]
    seconds: Mapping[int, float]
    teachers: Mapping[int, str | None]
    tuning: Tuning | None = None
    beside: Mapping[str, Mapping[int, float]] = field(default_factory=dict)

    @property
    def last_score(self) -> MeanStd:
        """Mean and sample standard deviation of what is judged, after the last epoch, in percent."""
        return mean_std(self.last.values())

    @property
    def best_score(self) -> MeanStd:
        """The same of each run's best judged epoch, which was chosen on the data it is measured on."""
        return mean_std(self.best.values())

    @property
    def mean_seconds(self) -> float:
        """Mean seconds per run."""
        return mean_std(self.seconds.values()).mean


@dataclass(frozen=True)
class Comparison:
    """Methods side by side: the same seeds, data, student and training for all; made by ``compare_runs``.

    Attributes:
        results: one per method, in the order given.
        baseline: name of the method without a teacher, None where it did not run.
        control: name of the weight-matched control, None where it did not run.
        split: the data that the numbers were measured on.
        epochs: epochs of every run.
        data, student: what all runs share, as their recipes say.
        parameters: parameters of the student.
        teachers: the distinct teachers: name, sha256, and under the metric's key their own score in percent.
        notes: sentences that belong beside the numbers.
        metric: what all runs are judged by.
    """

    results: tuple[MethodResult, ...]
    baseline: str | None
    control: str | None
    split: str
    epochs: int
    data: Mapping[str, Any]
    student: Mapping[str, Any]
    parameters: int | None = None
    teachers: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    metric: Metric = METRICS["classification"]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that every method was run with."""
        return tuple(sorted(self.results[0].last))

    def result(self, name: str) -> MethodResult:
        """The method of that name; ValueError for another."""
        for result in self.results:
            if result.name == name:
                return result
        raise ValueError(f"expected one of {[result.name for result in self.results]}, got {name!r}")

    def difference(
        self, name: str, to: str | None, level: float = 0.95, *, beside: str | None = None
    ) -> Interval | None:
        """Paired difference after the last epoch, ``name`` minus ``to``, in points; None to itself or nothing.

        It is one of what is judged, or of the number ``beside`` it of that key.
        """
        if to is None or name == to:
            return None
        here, there = (self.result(each) for each in (name, to))
        if beside is not None:
            return paired_interval(here.beside[beside], there.beside[beside], level)
        return paired_interval(here.last, there.last, level)

    def interval(self, name: str, level: float = 0.95) -> Interval:
        """Mean last-epoch score of a method and its interval over seeds, in percent."""
        return mean_interval(self.result(name).last.values(), level)

    def to_json(self) -> dict[str, Any]:
        """A dictionary that JSON can hold: what was measured and, for readers, the figures that follow from it."""
        return {
            "format": FORMAT,
            "metric": self.metric.key,
            "baseline": self.baseline,
            "control": self.control,
            "split": self.split,
            "epochs": self.epochs,
            "seeds": list(self.seeds),
            "data": dict(self.data),
            "student": dict(self.student),
            "parameters": self.parameters,
            "teachers": [dict(teacher) for teacher in self.teachers],
            "notes": list(self.notes),
            "results": [self._result_to_json(result) for result in self.results],
        }

    def _result_to_json(self, result: MethodResult) -> dict[str, Any]:
        to_baseline = self.difference(result.name, self.baseline)
        to_control = self.difference(result.name, self.control)
        return {
            "name": result.name,
            "method": result.method,
            "settings": dict(result.settings),
            "runs": [
                {
                    "seed": seed,
                    "last": result.last[seed],
                    "best": result.best[seed],
                    "seconds": result.seconds[seed],
                    "teacher": result.teachers[seed],
                    **{key: values[seed] for key, values in result.beside.items()},
                }
                for seed in self.seeds
            ],
            "last": result.last_score._asdict(),
            "best": result.best_score._asdict(),
            "difference_to_baseline": asdict(to_baseline) if to_baseline else None,
            "difference_to_control": asdict(to_control) if to_control else None,
            "tuning": _tuning_to_json(result.tuning),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Comparison":
        """The comparison that ``to_json`` wrote; the figures are worked out anew from the numbers of every seed.

        Raises:
            ValueError: the dictionary is of another format or lacks something.
        """
        # Pages of earlier versions name no metric: they are of classifiers.
        key = data.get("metric", METRICS["classification"].key)
        metric = next((metric for metric in METRICS.values() if metric.key == key), None)
        if metric is None:
            raise ValueError(f"expected a comparison by one of {[m.key for m in METRICS.values()]}, got {key!r}")
        if data.get("format") != FORMAT:
            raise ValueError(f"expected a comparison of format {FORMAT}, got format {data.get('format')!r}")
        try:
            return cls(
                results=tuple(_result_from_json(result, metric) for result in data["results"]),
                baseline=data["baseline"],
                control=data["control"],
                split=data["split"],
                epochs=data["epochs"],
                data=data["data"],
                student=data["student"],
                parameters=data["parameters"],
                teachers=tuple(data["teachers"]),
                notes=tuple(data["notes"]),
                metric=metric,
            )
        except KeyError as error:
            raise ValueError(f"expected a comparison with {error}, found none; the dictionary is not whole") from error


def _result_from_json(data: Mapping[str, Any], metric: Metric) -> MethodResult:
    runs = data["runs"]
    return MethodResult(
        name=data["name"],
        method=data["method"],
        settings=data["settings"],
        last={run["seed"]: run["last"] for run in runs},
        best={run["seed"]: run["best"] for run in runs},
        seconds={run["seed"]: run["seconds"] for run in runs},
        teachers={run["seed"]: run["teacher"] for run in runs},
        tuning=_tuning_from_json(data["tuning"]),
        beside={key: {run["seed"]: run[key] for run in runs} for key in metric.beside if key in runs[0]},
    )


def _tuning_to_json(tuning: Tuning | None) -> dict[str, Any] | None:
    if tuning is None:
        return None
    return {
        "parameter": tuning.parameter,
        # A list of pairs: the keys of a JSON object are strings, and a value such as 4.0 must come back as a number.
        "candidates": [{"value": value, "top1": top1} for value, top1 in tuning.candidates.items()],
        "chosen": tuning.chosen,
        "seeds": list(tuning.seeds),
        "split": tuning.split,
    }


def _tuning_from_json(data: Mapping[str, Any] | None) -> Tuning | None:
    if data is None:
        return None
    candidates = {candidate["value"]: candidate["top1"] for candidate in data["candidates"]}
    return Tuning(data["parameter"], candidates, data["chosen"], tuple(data["seeds"]), data["split"])
