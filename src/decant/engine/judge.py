"""Evaluating what a run left behind."""

from dataclasses import dataclass
from pathlib import Path

import torch

from decant.engine.checkpoint import STUDENT_FILE
from decant.engine.evaluate import Score, evaluate
from decant.engine.multilabel_score import MultilabelScore, evaluate_multilabel
from decant.engine.parallel import Parallel
from decant.engine.places import Places
from decant.engine.run import load_judged
from decant.engine.teacher import trained_student
from decant.recipe import Recipe, load_recipe


@dataclass(frozen=True)
class Judged:
    """A network, what it was judged on, and how well it did."""

    recipe: Recipe
    images: str
    measured: Score | MultilabelScore

    @property
    def score(self) -> Score:
        """How well it did with one class of each image.

        Raises:
            TypeError: it says which of many classes an image has, which is ``measured`` otherwise.
        """
        if not isinstance(self.measured, Score):
            raise TypeError(f'{self.recipe.student.name} learned task = "multilabel"; see measured')
        return self.measured


def evaluate_run(folder: Path, places: Places, *, weights: Path | None = None, trust_code: bool = False) -> Judged:
    """Evaluate the student of a run on the test images of its data set.

    Args:
        folder: a run folder.
        places: data and device on this machine.
        weights: other weights of the same network; by default those that the run left.
        trust_code: whether the Python files that its recipe takes methods and networks from may be run.

    Raises:
        FileNotFoundError: the folder holds no run, or no weights yet.
    """
    recipe_file = folder / "recipe.json"
    if not recipe_file.is_file():
        raise FileNotFoundError(f"{folder} is not the folder of a run: there is no {recipe_file}")
    if weights is None and not (folder / STUDENT_FILE).is_file():
        raise FileNotFoundError(
            f"there is no {folder / STUDENT_FILE}: the run is not finished, or its weights were moved"
        )
    weights = weights or folder / STUDENT_FILE
    if not weights.is_file():
        raise FileNotFoundError(f"there is no file of weights {weights}")
    recipe = load_recipe(recipe_file, trust_code=trust_code)
    splits = load_judged(recipe, places)
    parallel = Parallel(device=places.device, precision=recipe.train.precision)
    images, network = splits.test, trained_student(recipe, weights, splits.train)
    # In the memory layout of the run, on which rounding may depend.
    layout = torch.channels_last if recipe.train.channels_last else torch.contiguous_format
    network.to(parallel.device).to(memory_format=layout)
    judge = evaluate_multilabel if recipe.task == "multilabel" else evaluate
    measured = judge(network, images, parallel, channels_last=recipe.train.channels_last)
    return Judged(recipe, images.name, measured)
