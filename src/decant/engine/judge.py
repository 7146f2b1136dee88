"""Evaluating what a run left behind."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from decant.data import Images
from decant.engine.checkpoint import STUDENT_FILE
from decant.engine.evaluate import Score, evaluate, forward_passes
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


def right_answers(network: nn.Module, images: Images, parallel: Parallel, recipe: Recipe) -> Tensor:
    """Whether the network is right on each sample (N,): its class, or every yes and no of any number of classes.

    Args:
        network: images to logits, in the memory layout of its run.
        images: what it is asked about, with targets.
        parallel: device and precision.
        recipe: of its run.
    """
    right = torch.zeros(images.size, dtype=torch.int64, device=parallel.device)
    for logits, target, index in forward_passes(network, images, parallel, None, recipe.train.channels_last):
        several = recipe.task == "multilabel"
        made = ((logits > 0) == (target > 0.5)).all(1) if several else logits.argmax(1) == target
        right[index] = made.long()
    return parallel.total(right) > 0
