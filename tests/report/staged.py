"""Students and teachers with set answers, and pages made of invented runs."""

import json
from pathlib import Path

import torch

from decant.data import ImageSet
from decant.engine import Places
from decant.engine.predictions import Predictions
from decant.evidence import Run, compare_runs, read_run
from decant.report.beside_teacher import Beside, Onlooker, beside
from evidence.invented import DKD, KD_MATCHED, TEACHER, write_run

HOSTILE = "<script>alert('class')</script>"
TARGET = torch.tensor([0, 0, 1, 1, 2, 2])
TEACHER_SAYS = torch.tensor([0, 0, 1, 2, 0, 2])
STUDENT_SAYS = torch.tensor([0, 1, 1, 1, 1, 2])


def images() -> ImageSet:
    """Six images of three classes, one of which has a hostile name."""
    pixels = torch.arange(6 * 3 * 4 * 4).reshape(6, 3, 4, 4) % 256
    return ImageSet(
        pixels.to(torch.uint8), TARGET, (HOSTILE, "cat & dog", "c"), mean=(0.5,) * 3, std=(0.25,) * 3, name="six/test"
    )


def predictions(answers: torch.Tensor, sure: float = 4.0) -> Predictions:
    """A network that gives these answers, surer of later images."""
    logits = torch.nn.functional.one_hot(answers, 3) * (sure + torch.arange(6.0)[:, None] / 4)
    return Predictions(logits.float(), TARGET)


class Staged(Onlooker):
    """Whoever is asked, the answers are those above."""

    def __init__(self) -> None:
        super().__init__(Places(teachers=Path("nowhere"), device="cpu"))

    def look(self, run: Run, teacher_of: Run) -> Beside:
        return beside(predictions(STUDENT_SAYS), predictions(TEACHER_SAYS, 6.0), images())


def compared(folder: Path) -> Path:
    """A comparison of three methods with three seeds; what dkd logs has terms."""
    groups = {}
    for place, (name, method, settings) in enumerate(
        (("supervised", "supervised", {}), ("kd-matched", "kd", KD_MATCHED), ("dkd", "dkd", DKD))
    ):
        terms = {"hard": 1.5, **({"tckd": 0.25, "nckd": 0.75} if name == "dkd" else {})}
        groups[name] = [
            write_run(
                folder / name / f"seed-{seed}",
                method=method,
                settings=settings,
                seed=seed,
                teacher=TEACHER if place else None,
                top1=(70.125, 80.5 + place + seed / 8, 90.25 + place + (1 + place) * seed / 16),
                measured={"terms": terms, "agreement": 75.0 + place, "seconds": 1.25},
            )
            for seed in range(3)
        ]
    comparison = compare_runs({name: [read_run(run) for run in runs] for name, runs in groups.items()})
    (folder / "compared.json").write_text("{}")
    (folder / "comparison.json").write_text(json.dumps(comparison.to_json()))
    return folder
