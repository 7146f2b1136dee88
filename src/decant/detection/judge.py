"""Evaluating what a run of a detector left behind."""

from pathlib import Path

from decant.detection.data_settings import load_pictures
from decant.detection.evaluation import DetectionScore, evaluate_detector
from decant.detection.recipe import DetectionRecipe
from decant.detection.teacher import load_detector
from decant.engine.checkpoint import STUDENT_FILE
from decant.engine.parallel import Parallel
from decant.engine.places import Places
from decant.recipe import load_as


def evaluate_detection_run(folder: Path, places: Places, *, weights: Path | None = None) -> tuple[str, DetectionScore]:
    """The detector of a run and its score on the test pictures of its data set.

    Args:
        folder: a run folder.
        places: data and device on this machine.
        weights: other weights of the same detector; by default those that the run left.

    Raises:
        FileNotFoundError: there are no weights, or no pictures.
        ImportError: faster-coco-eval is missing.
    """
    recipe = load_as(DetectionRecipe, folder / "recipe.json")
    parallel = Parallel(device=places.device, precision=recipe.train.precision)
    pictures = load_pictures(recipe.data, places.data).test
    detector = load_detector(recipe.student, weights or folder / STUDENT_FILE, len(pictures.classes))
    return recipe.student.name, evaluate_detector(detector.to(parallel.device), pictures, parallel)
