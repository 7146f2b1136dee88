"""Studies at a size that trains in a blink."""

from dataclasses import replace
from pathlib import Path

from decant.engine import Places
from decant.engine.progress import Reporter
from decant.evidence import Findings, read_run
from decant.methods import DKDSettings
from decant.recipe import CompareSettings, TeacherSettings
from decant.studies import STUDIES, Size, run_study
from engine.tiny import DATA, TEACHER, Heard, recipe

HELD_OUT = replace(DATA, validation=0.25)
RECIPE = replace(
    recipe(DKDSettings(beta=2.0, warmup=0), epochs=3, batch_size=8),
    data=HELD_OUT,
    teacher=TeacherSettings(recipe=replace(TEACHER, data=HELD_OUT)),
    compare=CompareSettings(tune={"dkd": {"beta": (1.0, 4.0)}, "kd-matched": {"weight": (1.0, 4.0)}}),
)
SMALL = Size("demo", RECIPE, seeds=2)
PAIR = "digits_teacher-digits_student"


def study(name: str, folder: Path, *, seeds: int = 2, heard: Reporter | None = None) -> Findings:
    """The findings of a study, with everything below ``folder``."""
    places = Places(teachers=folder / "teachers", device="cpu")
    return run_study(name, STUDIES[name], SMALL, folder / "all", places, seeds=seeds, reporter=heard or Heard())


def last_score(folder: Path, trial: str, method: str, seeds: int = 2) -> dict[int, float]:
    """Seed -> what the run of a study left, read anew."""
    runs = folder / "all" / "runs" / trial / method
    return {seed: read_run(runs / f"seed-{seed}").last_score for seed in range(seeds)}
