"""The teacher of a recipe: loaded from a file, or trained once, kept under a hash of its recipe, and found again."""

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from decant.engine.checkpoint import STUDENT_FILE
from decant.models import create, load_weights
from decant.recipe import CompareSettings, Recipe, RecipeError, TeacherSettings, load_recipe, recipe_hash


@dataclass(frozen=True)
class Teacher:
    """A trained teacher.

    Attributes:
        network: in eval mode, on the CPU.
        name: the network's name.
        sha256: digest of the weights' file.
        top1: its accuracy in percent on the test images, where it was trained here.
        choices: its arg-max per sample (size,), by name of the image set, once somebody worked it out.
    """

    network: nn.Module
    name: str
    sha256: str
    top1: float | None
    choices: dict[str, Tensor] = field(default_factory=dict, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """What a run's summary says about it."""
        return {"name": self.name, "sha256": self.sha256, "top1": self.top1}


def teacher_folder(teachers: Path, recipe: Recipe) -> Path:
    """Where the teacher of this recipe is kept.

    A folder that holds this very recipe is found whatever its name: the hash in the name changes when recipes learn a
    new setting, the recipe does not.
    """
    stem = f"{recipe.student.name}-{recipe.data.name}"
    for kept in sorted(teachers.glob(f"{stem}-*/recipe.json")):
        try:
            if _as_taught(load_recipe(kept)) == _as_taught(recipe):
                return kept.parent
        except RecipeError:
            continue  # of a version that this one cannot read: not this teacher
    return teachers / f"{stem}-{recipe_hash(recipe)[:12]}"


def _as_taught(recipe: Recipe) -> Recipe:
    """The recipe without what does not change the trained network."""
    return replace(recipe, compare=CompareSettings())


def load_teacher(path: Path, settings: TeacherSettings, *, classes: int, channels: int, top1: float | None) -> Teacher:
    """The network of these settings with the weights of ``path``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the weights are not those of this network over so many classes.
    """
    if not path.is_file():
        raise FileNotFoundError(f"teacher.weights: there is no file {path}")
    network = create(settings.network, num_classes=classes, in_channels=channels)
    load_weights(network, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Teacher(network.eval().requires_grad_(False), settings.network, digest, top1)


def student_file(folder: Path) -> Path:
    """The weights that a run leaves behind."""
    return folder / STUDENT_FILE
