"""The commands as far as they concern detectors; what is heavy is imported when it is needed."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from decant.engine import Places


def is_detection(recipe: Path, changes: Sequence[str] = ()) -> bool:
    """Whether the file is a recipe of a detector."""
    from decant.recipe import task_of

    return task_of(recipe, changes) == "detection"


def load_detection(recipe: Path, changes: Sequence[str], *, overrides_beside: Path) -> Any:
    """The recipe of a detector."""
    from decant.detection.recipe import DetectionRecipe
    from decant.recipe import load_as

    return load_as(DetectionRecipe, recipe, changes, overrides_beside=overrides_beside)


def train(recipe: Path, changes: Sequence[str], folder: Path, places: "Places", console: Console) -> None:
    """Train the detector of a recipe, its teacher first."""
    from decant.detection.run import train_detector
    from decant.engine.parallel import is_main_process
    from decant.engine.progress import reporter_for

    settings = load_detection(recipe, changes, overrides_beside=Path())
    summary = train_detector(settings, folder, places, reporter=reporter_for(console))
    if not is_main_process():
        return
    last, best = summary["last"], summary["best"]
    console.print(
        f"{summary['network']}: AP {_shown(last['ap'])} (AP50 {_shown(last['ap50'])}, AP75 {_shown(last['ap75'])}) on "
        f"{last['split']} after epoch {last['epoch']} (best {_shown(best['ap'])} after epoch {best['epoch']}); "
        f"weights in {folder / 'student.safetensors'}",
        highlight=False,
        soft_wrap=True,
    )


def evaluate(run: Path, weights: Path | None, places: "Places", console: Console) -> None:
    """Evaluate the detector of a run on the test pictures."""
    from decant.detection.evaluation import SUMMARY
    from decant.detection.judge import evaluate_detection_run

    name, score = evaluate_detection_run(run, places, weights=weights)
    table = Table("detector", *(key.replace("_", " ").replace("ap", "AP") for key in SUMMARY), "pictures")
    table.add_row(name, *(_shown(getattr(score, key)) for key in SUMMARY), str(score.pictures))
    console.print(table)


def draw(run: Path, picture: Path, out: Path, places: "Places", score: float) -> None:
    """Draw what a trained detector and its teacher see in a picture, side by side."""
    from decant.detection.predict import predict

    for each in predict(run, picture, out, places, score=score):
        found = ", ".join(f"{name} {value:.2f}" for name, value in zip(each.names, each.scores, strict=True))
        Console().print(f"{each.who}: {found or 'nothing'}", highlight=False, markup=False, soft_wrap=True)
    Console().print(f"drawn in {out}", highlight=False, soft_wrap=True)


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
