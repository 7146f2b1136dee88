"""What goes with `task = "multilabel"`, and what does not."""

from typing import TYPE_CHECKING

from decant.data import DataSettings
from decant.methods import METHODS, MULTILABEL_METHODS, ComposedSettings

if TYPE_CHECKING:
    from decant.recipe.settings import Recipe


def refuse_task(recipe: "Recipe") -> None:
    """Raise ValueError for a method, data or training that the recipe's task has not, or a teacher of another task."""
    parts = recipe.method.parts if isinstance(recipe.method, ComposedSettings) else (recipe.method,)
    ours, others = (METHODS, MULTILABEL_METHODS) if recipe.task == "classification" else (MULTILABEL_METHODS, METHODS)
    if unfit := [part.name for part in parts if part.name in others]:
        raise ValueError(
            f'method {unfit[0]} is not for task = "{recipe.task}", whose methods are {", ".join(ours)}, or your own'
        )
    for source in recipe.teacher.sources if recipe.teacher is not None else ():
        if source.recipe is not None and source.recipe.task != recipe.task:
            raise ValueError(f'the teacher is trained with task = "{source.recipe.task}", the student "{recipe.task}"')
    if recipe.task == "multilabel":
        _refuse_single_label(recipe)


def _refuse_single_label(recipe: "Recipe") -> None:
    if recipe.data.name != "pictures":
        raise ValueError('task = "multilabel" is for data.name = "pictures": a table of path,label|label2')
    plain, data = DataSettings(), recipe.data
    cut = [
        name
        for name in ("train_per_class", "label_noise", "hidden_labels", "unlabelled")
        if getattr(data, name) != getattr(plain, name)
    ]
    cut = [f"data.{name}" for name in cut] + (
        ["train.mixup, cutmix and label_smoothing"] if recipe.train.mixes_labels else []
    )
    if cut:
        raise ValueError(f'{cut[0]}: of one class to a sample alone, not for task = "multilabel"; leave it as it is')
    if recipe.teacher is not None and recipe.teacher.also:
        raise ValueError(
            'several teachers are averaged over classes that exclude each other, not for task = "multilabel"'
        )
