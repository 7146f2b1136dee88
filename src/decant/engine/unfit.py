"""What a method asks for that its recipe does not give."""

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
