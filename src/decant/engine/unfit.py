"""What a method asks for that its recipe does not give."""

import torch

from decant.data import Images
from decant.engine.distiller import Distiller
from decant.engine.tabled_teacher import refuse_top, refuse_unserved
from decant.interfaces import Method
from decant.recipe import Recipe


def refuse_unfit(recipe: Recipe, method: Method, classes: int) -> None:
    """Raise ValueError for a method that cannot be trained as the recipe says."""
    if method.one_class and recipe.train.mixes_labels:
        raise ValueError(
            f"{recipe.method.name} is about one class of each sample, but train.mixup, train.cutmix and "
            "train.label_smoothing make labels probabilities; set them to 0, or take another method, such as dkd"
        )
    if recipe.train.teacher_cache == "views":
        refuse_unserved(method, recipe.method.name)
        refuse_top(recipe, classes)


def refuse_sizes(recipe: Recipe, distiller: Distiller, images: Images) -> None:
    """Raise ValueError where ``data.pictures.sizes`` has views that networks or method are not made for.

    It is found out by a step at each size, on a copy and on images of noise; random numbers are drawn.
    """
    if recipe.data.name != "pictures" or not recipe.data.pictures.sizes:
        return
    name, method = recipe.method.name, distiller.method
    if method.strong_views:
        raise ValueError(
            f"{name} has strong views, which are made for one size of images, but data.pictures.sizes changes it: "
            "leave that out, or take another method"
        )
    if _fault_at(recipe.data.pictures.size, recipe, distiller, images) is not None:
        return  # it has another cause, which the first step tells
    for size in sorted({size for _, size in recipe.data.pictures.sizes}):
        if (fault := _fault_at(size, recipe, distiller, images)) is not None:
            raise ValueError(
                f"data.pictures.sizes has views of {size} pixels, on which {recipe.student.name} cannot be trained by "
                f"{name} ({fault}); leave them out, or take another method or network"
            )


def _fault_at(size: int, recipe: Recipe, distiller: Distiller, images: Images) -> str | None:
    """What goes wrong with a step on views of this size."""
    trial, target = distiller.copy().eval(), images.target[:2]
    views = tuple(torch.rand(2, images.shape[1], size, size, device=images.device) for _ in range(trial.method.views))
    try:
        with torch.no_grad():
            trial.prepare([(views[0], target)])
            trial(views, target, index=torch.arange(2, device=images.device), epoch=float(recipe.train.epochs))
    except (RuntimeError, ValueError) as error:
        return str(error)
    return None
