"""Invented runs and comparisons for the tests of evidence and report."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from decant.evidence import Comparison, MethodResult, Tuning

TEACHER = {"name": "digits_teacher", "sha256": "c0ffee" * 10, "top1": 98.75}
KD = {"task_weight": 0.1, "weight": 0.9, "temperature": 4.0, "warmup": 0}
KD_MATCHED = {"task_weight": 1.0, "weight": 2.0, "temperature": 4.0, "warmup": 20}
DKD = {"task_weight": 1.0, "alpha": 1.0, "beta": 2.0, "temperature": 4.0, "warmup": 20}


def write_run(
    path: Path,
    *,
    method: str = "dkd",
    settings: Mapping[str, Any] | None = None,
    methods: Sequence[Mapping[str, Any]] = (),
    seed: int = 0,
    top1: Sequence[float] = (80.0, 92.5, 92.0),
    split: str = "test",
    data: Mapping[str, Any] | None = None,
    train: Mapping[str, Any] | None = None,
    student: str = "digits_student",
    teacher: Mapping[str, Any] | None = None,
    seconds: float = 3.5,
    fingerprint: str = "feed",
    judged: str | None = None,
    environment: Mapping[str, Any] | None = None,
    finished: bool = True,
    measured: Mapping[str, Any] | None = None,
) -> Path:
    """A run folder as training leaves it."""
    path.mkdir(parents=True)
    rows = [
        {"epoch": epoch, "split": split, "top1": value, "loss": 0.5, **(measured or {})}
        for epoch, value in enumerate(top1, start=1)
    ]
    recipe = {
        "seed": seed,
        "method": list(methods) or {"name": method, **(settings or {})},
        "data": {"name": "digits", "padding": 1, "view_seed": None, "train_per_class": None, **(data or {})},
        "student": {"name": student},
        "train": {"epochs": len(rows), "learning_rate": 0.1, **(train or {})},
    }
    (path / "recipe.json").write_text(json.dumps(recipe))
    (path / "environment.json").write_text(json.dumps(environment or {"device": "cpu"}))
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if finished:
        summary = {
            "finished": True,
            "epochs": len(rows),
            "last": rows[-1],
            "best": max(rows, key=lambda row: float(str(row["top1"]))),
            "seconds": seconds,
            "parameters": 3778,
            "teacher": teacher,
            "data": fingerprint,
            **({"judged": judged} if judged is not None else {}),
        }
        (path / "summary.json").write_text(json.dumps(summary))
    return path


def result(
    name: str,
    last: Sequence[float],
    settings: Mapping[str, Any] | None = None,
    *,
    method: str | None = None,
    tuning: Tuning | None = None,
) -> MethodResult:
    """The result of a method with these last-epoch values for seeds 0, 1, ..."""
    values = dict(enumerate(last))
    method = method or {"kd-matched": "kd"}.get(name, name)
    teacher = None if method == "supervised" else TEACHER["sha256"]
    return MethodResult(
        name=name,
        method=method,
        settings=settings if settings is not None else {"kd": KD, "kd-matched": KD_MATCHED, "dkd": DKD}.get(name, {}),
        last=values,
        best={seed: value + 0.25 for seed, value in values.items()},
        seconds={seed: 3.0 + seed for seed in values},
        teachers={seed: None if teacher is None else str(teacher) for seed in values},
        tuning=tuning,
    )


def comparison(*results: MethodResult, **changes: Any) -> Comparison:
    """A comparison of these results, with the baseline and the control where they are among them."""
    names = {item.name for item in results}
    facts: dict[str, Any] = {
        "baseline": "supervised" if "supervised" in names else None,
        "control": "kd-matched" if "kd-matched" in names else None,
        "split": "test",
        "epochs": 60,
        "data": {"name": "digits", "padding": 1, "view_seed": None},
        "student": {"name": "digits_student"},
        "parameters": 3778,
        "teachers": (TEACHER,),
    }
    return Comparison(results=results, **(facts | changes))


def tuned(parameter: str, values: int = 3, seeds: Sequence[int] = (100, 101), split: str = "validation") -> Tuning:
    """Tuning over 1, 2, ... with the last as the best."""
    candidates = {float(value): 90.0 + value for value in range(1, values + 1)}
    return Tuning(parameter, candidates, float(values), tuple(seeds), split)
