"""The teacher of a recipe: loaded from a file, or trained once, kept under a hash of its recipe, and found again."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from decant.data import Images
from decant.engine.checkpoint import read_about
from decant.engine.context import fresh_network, fresh_student
from decant.engine.unlike import alike
from decant.models import AveragedTeachers, build_network, classes_of, load_weights
from decant.recipe import AnyRecipe, Recipe, RecipeError, TeacherSettings, load_as, recipe_hash


@dataclass(frozen=True)
class Teacher:
    """A trained teacher.

    Attributes:
        network: in eval mode, on the CPU.
        name: the network's name.
        sha256: digest of the weights' file, and of what it is asked where it is unlike its student.
        top1: its accuracy in percent on the test images, where it was trained here.
        notes: how it is unlike its student, for people.
        choices: its arg-max per sample (size,), by name of the image set, once somebody worked it out.
    """

    network: nn.Module
    name: str
    sha256: str
    top1: float | None
    notes: tuple[str, ...] = ()
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
    stem = f"{recipe.student.name.replace('/', '-')}-{recipe.data.name}"
    for kept in sorted(teachers.glob(f"{stem}-*/recipe.json")):
        try:
            if load_as(type(recipe), kept, same_code_as=recipe).trained == recipe.trained:
                return kept.parent
        except RecipeError:
            continue  # of a version that this one cannot read, or of other code: not this teacher
    return teachers / f"{stem}-{recipe_hash(recipe)[:12]}"


def load_teacher(path: Path | None, settings: TeacherSettings, images: Images, *, top1: float | None) -> Teacher:
    """The network of these settings, as one that is shown these images and answers over their classes.

    Args:
        path: its weights; None for those of its library.
        settings: which network it is, what it was trained to see, and over which classes.
        images: the training set.
        top1: its accuracy, where it is known; it is not that of a teacher that is unlike its student.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the weights are not those of this network over its classes; classes that it does not know.
    """
    if path is None:
        names = settings.classes or classes_of(settings.network)
        if names is None:
            raise ValueError(
                f"the classes of {settings.network}'s own weights are not known; name them in teacher.classes"
            )
        about: dict[str, Any] = {}
        network = build_network(
            settings.network, classes=None, channels=images.shape[1], pretrained=True, options=settings.options
        )
        digest = _digest_of(network)
    else:
        if not path.is_file():
            raise FileNotFoundError(f"teacher.weights: there is no file {path}")
        about = read_about(path)
        names = settings.classes or tuple(about.get("classes", images.classes))
        network = _network_with_weights(settings, path, images, len(names))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    found = alike(network, settings, images, names, about)
    if found.asked:
        digest, top1 = hashlib.sha256(f"{digest} {found.asked}".encode()).hexdigest(), None
    return Teacher(found.network.eval().requires_grad_(False), settings.network, digest, top1, found.notes)


def averaged(teachers: Sequence[Teacher], shares: Sequence[float]) -> Teacher:
    """Several teachers as one: the mean of their probabilities."""
    network = AveragedTeachers([teacher.network for teacher in teachers], shares).eval().requires_grad_(False)
    digest = hashlib.sha256(repr(([teacher.sha256 for teacher in teachers], list(shares))).encode()).hexdigest()
    return Teacher(network, " + ".join(teacher.name for teacher in teachers), digest, None)


def _digest_of(network: nn.Module) -> str:
    digest = hashlib.sha256()
    for key, value in sorted(network.state_dict().items()):
        digest.update(key.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _network_with_weights(settings: TeacherSettings, path: Path, images: Images, classes: int) -> nn.Module:
    if settings.recipe is not None:
        return trained_student(settings.recipe, path, images)
    with torch.random.fork_rng(devices=[]):  # the weights that it starts with are replaced
        network = fresh_network(settings.network, images, classes=classes, options=settings.options)
        return _with_weights(network, settings.network, path, classes)


def trained_student(recipe: Recipe, path: Path, images: Images) -> nn.Module:
    """The network that a recipe leaves behind with the weights of a file, on the CPU; no random state is touched.

    Raises:
        ValueError: the weights are not those of this network over so many classes.
    """
    return _with_weights(fresh_student(recipe, images), recipe.student.name, path, len(images.classes))


def _with_weights(network: nn.Module, name: str, path: Path, classes: int) -> nn.Module:
    try:
        load_weights(network, path)
    except ValueError as error:
        raise ValueError(f"{path} as weights of {name} over {classes} classes: {error}") from None
    return network
