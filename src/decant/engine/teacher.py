"""The teacher of a recipe: loaded from a file, or trained once, kept under a hash of its recipe, and found again."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from decant.data import Images
from decant.engine.context import fresh_network, fresh_student
from decant.models import load_weights
from decant.recipe import AnyRecipe, Recipe, RecipeError, TeacherSettings, load_as, recipe_hash


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


class Named(Protocol):
    """Settings with a name."""

    @property
    def name(self) -> str:
        """The name."""
        ...


class Kept(AnyRecipe, Protocol):
    """A recipe whose student may be somebody's teacher."""

    @property
    def student(self) -> Named:
        """The network that is trained."""
        ...

    @property
    def data(self) -> Named:
        """The data set."""
        ...


def teacher_folder(teachers: Path, recipe: Kept) -> Path:
    """Where the teacher of this recipe is kept.

    A folder that holds this very recipe is found whatever its name: the hash in the name changes when recipes learn a
    new setting, the recipe does not.
    """
    stem = f"{recipe.student.name}-{recipe.data.name}"
    for kept in sorted(teachers.glob(f"{stem}-*/recipe.json")):
        try:
            if load_as(type(recipe), kept, same_code_as=recipe).trained == recipe.trained:
                return kept.parent
        except RecipeError:
            continue  # of a version that this one cannot read, or of other code: not this teacher
    return teachers / f"{stem}-{recipe_hash(recipe)[:12]}"


def load_teacher(path: Path, settings: TeacherSettings, images: Images, *, top1: float | None) -> Teacher:
    """The network of these settings with the weights of ``path``, for these images and their classes.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the weights are not those of this network over so many classes.
    """
    if not path.is_file():
        raise FileNotFoundError(f"teacher.weights: there is no file {path}")
    if settings.recipe is not None:
        network = trained_student(settings.recipe, path, images)
    else:
        with torch.random.fork_rng(devices=[]):  # the weights that it starts with are replaced
            network = _with_weights(fresh_network(settings.network, images), settings.network, path, images)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Teacher(network.eval().requires_grad_(False), settings.network, digest, top1)


def trained_student(recipe: Recipe, path: Path, images: Images) -> nn.Module:
    """The network that a recipe leaves behind with the weights of a file, on the CPU; no random state is touched.

    Raises:
        ValueError: the weights are not those of this network over so many classes.
    """
    return _with_weights(fresh_student(recipe, images), recipe.student.name, path, images)


def _with_weights(network: nn.Module, name: str, path: Path, images: Images) -> nn.Module:
    try:
        load_weights(network, path)
    except ValueError as error:
        raise ValueError(f"{path} as weights of {name} over {len(images.classes)} classes: {error}") from None
    return network
