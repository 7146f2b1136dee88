"""The sizes at which a study can be run: the paper's, one for two CPU cores, and one for a look."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from decant.engine.suite import suite
from decant.recipe import Recipe, find_recipe, load_recipe

HELD_OUT = 0.1
"""Share of the training images held out where a study tunes at the paper's size, whose protocol holds out none."""


@dataclass(frozen=True)
class Size:
    """How large a study is.

    Attributes:
        name: "paper", "quick" or "demo"; studies look up by it what grows with the size.
        recipe: data, student, teacher and training that a study starts from, and what it compares.
        seeds: of every comparison unless said otherwise.
    """

    name: str
    recipe: Recipe
    seeds: int

    @property
    def pair(self) -> str:
        """Teacher and student, the name of the comparisons that change nothing of the recipe."""
        assert self.recipe.teacher is not None, "studies are of distillation"
        return f"{self.recipe.teacher.network}-{self.recipe.student.name}"


def _paper() -> Size:
    return Size("paper", suite("cifar100")["resnet32x4-resnet8x4"], seeds=5)


def _quick() -> Size:
    return Size("quick", suite("quick")["resnet20-resnet8"], seeds=3)


def _demo() -> Size:
    return Size("demo", load_recipe(find_recipe("demo")), seeds=5)


SIZES: dict[str, Callable[[], Size]] = {"paper": _paper, "quick": _quick, "demo": _demo}
"""resnet32x4 -> resnet8x4 for 240 epochs; resnet20 -> resnet8 for 6; two networks on 200 digits, for minutes."""


def holding_out(recipe: Recipe, share: float = HELD_OUT) -> Recipe:
    """The recipe with validation images that neither student nor teacher is trained on; as it is where it has some."""
    if recipe.data.validation:
        return recipe
    teacher = recipe.teacher
    if teacher is not None and teacher.recipe is not None:
        data = replace(teacher.recipe.data, validation=share)
        teacher = replace(teacher, recipe=replace(teacher.recipe, data=data))
    return replace(recipe, data=replace(recipe.data, validation=share), teacher=teacher)


def with_teacher(recipe: Recipe, taught_by: Recipe) -> Recipe:
    """The recipe with another recipe for its teacher."""
    assert recipe.teacher is not None, "studies are of distillation"
    return replace(recipe, teacher=replace(recipe.teacher, recipe=taught_by))


def teacher_of(recipe: Recipe) -> Recipe:
    """The recipe that trains the teacher."""
    assert recipe.teacher is not None, "studies are of distillation"
    assert recipe.teacher.recipe is not None, "the recipes of SIZES train their teachers"
    return recipe.teacher.recipe
