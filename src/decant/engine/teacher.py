"""The teacher of a recipe: loaded from a file, or trained once, kept under a hash of its recipe, and found again."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from decant.models import create, load_weights
from decant.recipe import AnyRecipe, RecipeError, TeacherSettings, load_as, recipe_hash


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


def load_teacher(path: Path, settings: TeacherSettings, *, classes: int, channels: int, top1: float | None) -> Teacher:
    """The network of these settings with the weights of ``path``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the weights are not those of this network over so many classes.
    """
    if not path.is_file():
        raise FileNotFoundError(f"teacher.weights: there is no file {path}")
    network = trained_network(settings.network, path, classes=classes, channels=channels)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Teacher(network.eval().requires_grad_(False), settings.network, digest, top1)


def trained_network(name: str, path: Path, *, classes: int, channels: int) -> nn.Module:
    """The network of that name with the weights of a file, on the CPU; nobody's random state is touched."""
    with torch.random.fork_rng(devices=[]):  # the weights that it starts with are replaced
        network = create(name, num_classes=classes, in_channels=channels)
    try:
        load_weights(network, path)
    except ValueError as error:
        raise ValueError(f"{path} as weights of {name} over {classes} classes: {error}") from None
    return network
