"""What runs of a task are judged by: which number of ``metrics.jsonl`` decides, and which methods answer what."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Metric:
    """A number in percent that says how good a network is; more is better.

    Attributes:
        key: its name in a row of ``metrics.jsonl``.
        name: how it reads.
        beside: key -> name of numbers that are shown too, and decide nothing.
        baseline: the task's method without a teacher.
        distilled: its classical distillation, which the weight-matched control is.
        decoupled: its method with two weights, which is held against that control.
    """

    key: str
    name: str
    beside: Mapping[str, str]
    baseline: str = "supervised"
    distilled: str = "kd"
    decoupled: str = "dkd"

    @property
    def matched(self) -> str:
        """The name that the control has in comparisons."""
        return f"{self.distilled}-matched"


METRICS: dict[str, Metric] = {
    "classification": Metric("top1", "top-1", {}),
    "multilabel": Metric(
        "map",
        "mean average precision",
        {"f1": "F1", "exact": "every class right"},
        baseline="bernoulli",
        distilled="bernoulli_kd",
        decoupled="bernoulli_dkd",
    ),
    "detection": Metric("ap", "AP", {"ap50": "AP50", "ap75": "AP75"}),
}
"""Task of a recipe -> what its runs are judged by."""


def metric_of(recipe: Mapping[str, Any]) -> Metric:
    """The metric of a recipe's task; a recipe that names none is of a classifier.

    Raises:
        ValueError: an unknown task.

    >>> metric_of({"task": "detection"}).name, metric_of({}).key
    ('AP', 'top1')
    """
    task = recipe.get("task", "classification")
    if not isinstance(task, str) or task not in METRICS:
        raise ValueError(f"expected a task among {', '.join(METRICS)}, got {task!r}; is the run of a later version?")
    return METRICS[task]
