"""The teacher of a recipe: loaded from a file, or trained once, kept under a hash of its recipe, and found again."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from decant.data import Images, PictureSet
from decant.engine.checkpoint import read_about
from decant.engine.context import build_context, named_taps
from decant.models import (
    AveragedTeachers,
    ClassMap,
    Sight,
    classes_of,
    folded_classes,
    load_weights,
    map_classes,
    preprocessing_of,
    resighted,
)
from decant.recipe import AnyRecipe, NetworkSettings, Recipe, RecipeError, TeacherSettings, load_as, recipe_hash


@dataclass(frozen=True)
class Teacher:
    """A trained teacher.

    Attributes:
        network: in eval mode, on the CPU.
        name: the network's name.
        sha256: digest of the weights' file, and of what it is asked where it is unlike its student.
        top1: its accuracy in percent on the test images, where it was trained here.
        map: its mean average precision in percent there, of any number of classes to a picture.
        notes: how it is unlike its student, for people.
        choices: its arg-max per sample (size,), by name of the image set, once somebody worked it out.
    """

    network: nn.Module
    name: str
    sha256: str
    top1: float | None
    map: float | None = None
    notes: tuple[str, ...] = ()
    choices: dict[str, Tensor] = field(default_factory=dict, compare=False)

    @property
    def score(self) -> float | None:
        """What its task is judged by, in percent on the test images, where that is known."""
        return self.top1 if self.map is None else self.map

    def to_dict(self) -> dict[str, Any]:
        """What a run's summary says about it."""
        scored = {} if self.map is None else {"map": self.map}
        return {"name": self.name, "sha256": self.sha256, "top1": self.top1, **scored}


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
    stem = f"{recipe.student.name.replace('/', '-').replace(':', '-')}-{recipe.data.name}"
    for kept in sorted(teachers.glob(f"{stem}-*/recipe.json")):
        try:
            if load_as(type(recipe), kept, same_code_as=recipe).trained == recipe.trained:
                return kept.parent
        except RecipeError:
            continue  # of a version that this one cannot read, or of other code: not this teacher
    return teachers / f"{stem}-{recipe_hash(recipe)[:12]}"


def load_teacher(path: Path | None, settings: TeacherSettings, images: Images, *, top1: float | None) -> Teacher:
    """The network of these settings, as one over the classes of ``images`` that is shown what they are.

    Args:
        path: its weights; None for those of its library.
        settings: which network it is, what it was trained to see, and over which classes.
        images: the training set.
        top1: its accuracy, where it is known for a teacher that is like its student.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the weights are not those of this network over its classes; classes that it does not know.
    """
    if path is not None and not path.is_file():
        raise FileNotFoundError(f"teacher.weights: there is no file {path}")
    about = {} if path is None else read_about(path)
    names = settings.classes or about.get("classes")
    if path is None:
        names = names or classes_of(settings.network, like=images.classes)
        if names is None:
            raise ValueError(
                f"the classes of {settings.network}'s own weights are not known; name them in teacher.classes"
            )
        network = settings.build(classes=None, channels=images.shape[1], pretrained=True)
        digest = _digest_of(network)
    else:
        names = names or images.classes
        if settings.recipe is not None:
            network = trained_student(settings.recipe, path, images)
        else:
            network = trained_network(settings, path, classes=len(names), channels=images.shape[1])
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return alike(Teacher(network, settings.network, digest, top1), settings, images, names, about.get("sees"))


def alike(
    teacher: Teacher, settings: TeacherSettings, images: Images, names: Sequence[str], kept: Mapping[str, Any] | None
) -> Teacher:
    """The teacher as one that is shown ``images`` and answers over their classes; the same where it does already.

    Args:
        teacher: as it was trained.
        settings: what it was trained to see, where they say so.
        images: the training set.
        names: its classes.
        kept: what its file says that it was trained to see.

    Raises:
        ValueError: classes that it does not know; several of its classes for one, where each is a yes/no question.
    """
    here, there = sight_of(images), _sight(settings, images, kept)
    mapped = map_classes(names, images.classes, settings.rename)
    if images.target.ndim == 2:  # any number of classes to a sample
        _refuse_several_to_one(mapped, names, images.classes)
    network = resighted(teacher.network, here, there)
    notes = [f"sees {_words(there)}, its student {_words(here)}"] if network is not teacher.network else []
    network = folded_classes(network, mapped, len(images.classes))
    if mapped.unused:
        shown = ", ".join(mapped.unused[:8]) + (" ..." if len(mapped.unused) > 8 else "")
        notes.append(f"{len(mapped.unused)} of its {len(names)} classes have no counterpart and are left out: {shown}")
    network.eval().requires_grad_(False)
    if network is teacher.network:
        return teacher
    asked = hashlib.sha256(repr((teacher.sha256, there, mapped.owner)).encode()).hexdigest()
    return replace(teacher, network=network, sha256=asked, top1=None, notes=tuple(notes))


def _refuse_several_to_one(mapped: ClassMap, theirs: Sequence[str], ours: Sequence[str]) -> None:
    """Folded logits are those of classes that exclude each other, which the answers to yes/no questions do not."""
    for place, name in enumerate(ours):
        several = [theirs[k] for k, into in enumerate(mapped.owner) if into == place]
        if len(several) > 1:
            raise ValueError(
                f"teacher.rename makes {name!r} of {' and '.join(map(repr, several))}, but with task = "
                '"multilabel" each class of the teacher is a question of its own, whose answers do not add up: give '
                "each class one of the teacher's"
            )


def averaged(teachers: Sequence[Teacher], weights: Sequence[float]) -> Teacher:
    """Several teachers as one: the mean of their probabilities."""
    network = AveragedTeachers([teacher.network for teacher in teachers], weights).eval().requires_grad_(False)
    digest = hashlib.sha256(repr(([teacher.sha256 for teacher in teachers], list(weights))).encode()).hexdigest()
    return Teacher(network, " + ".join(teacher.name for teacher in teachers), digest, None)


def sight_of(images: Images) -> Sight:
    """What the images of a set are, as networks see them."""
    height, width = images.shape[2:]
    interpolation = images.settings.interpolation if isinstance(images, PictureSet) else "bilinear"
    return Sight((height, width), images.mean, images.std, interpolation)


def _sight(settings: TeacherSettings, images: Images, kept: Mapping[str, Any] | None) -> Sight:
    """What a teacher was trained to see: as its settings say, its recipe, its file or its library, or its student's."""
    here = sight_of(images)
    if (sees := settings.sees) is not None:
        size = here.size if sees.size is None else (sees.size, sees.size)
        return Sight(size, sees.mean or here.mean, sees.std or here.std, sees.interpolation, sees.channels)
    if settings.recipe is not None and settings.recipe.data.name == "pictures":
        data = settings.recipe.data.pictures
        return Sight((data.size, data.size), data.mean, data.std, data.interpolation)
    if kept is not None and len(kept["mean"]) == len(here.mean):
        return Sight(tuple(kept["size"]), tuple(kept["mean"]), tuple(kept["std"]), kept["interpolation"])
    if settings.pretrained and (known := preprocessing_of(settings.network)) is not None and len(here.mean) == 3:
        return Sight((known.size, known.size), known.mean, known.std, known.interpolation)
    return here


def _words(sight: Sight) -> str:
    mean, std = ("/".join(f"{value:.3g}" for value in values) for values in (sight.mean, sight.std))
    order = "" if sight.channels == "rgb" else ", channels reversed"
    return f"{sight.size[0]}x{sight.size[1]} pixels (mean {mean}, std {std}{order})"


def _digest_of(network: nn.Module) -> str:
    digest = hashlib.sha256()
    for key, value in sorted(network.state_dict().items()):
        digest.update(key.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def untrained(settings: TeacherSettings, images: Images) -> Teacher:
    """The teacher of these settings before it was trained, which tells what a method asks of it.

    Of a file of weights only the header is read, where the file is there.
    """
    if settings.also:
        sources = settings.sources
        return averaged([untrained(source, images) for source in sources], [source.share for source in sources])
    about = {} if settings.weights is None or _missing(settings) else read_about(Path(settings.weights))
    known = classes_of(settings.network, like=images.classes) if settings.pretrained else None
    names = settings.classes or about.get("classes") or known or images.classes
    if settings.recipe is not None:
        network = fresh_student(settings.recipe, images)
    else:
        network = settings.build(classes=len(names), channels=images.shape[1])
    return alike(Teacher(network.eval(), settings.network, "", None), settings, images, names, about.get("sees"))


def _missing(settings: TeacherSettings) -> bool:
    return settings.weights is not None and not Path(settings.weights).is_file()


def fresh_student(recipe: Recipe, images: Images) -> nn.Module:
    """The network that a recipe leaves behind, with fresh weights: what its file of weights fits.

    Some methods put parts of their own into it, and ask their teacher for the shapes. Nobody's random state is touched.

    Raises:
        FileNotFoundError: such a method, whose teacher's file, which says what it sees, is not there.
    """
    with torch.random.fork_rng(devices=[]):
        student = fresh_network(recipe.student, images)
        if recipe.teacher is None:
            return student
        teacher = untrained(recipe.teacher, images).network
        context = build_context(student, teacher, images, named_taps(recipe, student, teacher))
        deployed = recipe.method.build(context).deployed(student)
    gone = [source.weights for source in recipe.teacher.sources if source.sees is None and _missing(source)]
    if deployed is not student and gone:
        # Parts without weights would fit any file of weights: a guess at the shapes would go unnoticed.
        raise FileNotFoundError(
            f"there is no file {gone[0]} (teacher.weights): {recipe.method.name} puts parts into its student that "
            "depend on the size of images that the teacher sees, which this file may tell; put it back"
        )
    return deployed


def fresh_network(settings: NetworkSettings, images: Images) -> nn.Module:
    """The network of a recipe for these images and their classes, with fresh weights."""
    classes, channels = len(images.classes), images.shape[1]
    return settings.build(classes=classes, channels=channels)


def trained_student(recipe: Recipe, path: Path, images: Images) -> nn.Module:
    """The network that a recipe leaves behind with the weights of a file, on the CPU; no random state is touched.

    Raises:
        ValueError: the weights are not those of this network over so many classes.
    """
    network = fresh_student(recipe, images)
    _load(network, recipe.student.name, path, len(images.classes))
    return network


def trained_network(settings: TeacherSettings, path: Path, *, classes: int, channels: int) -> nn.Module:
    """The teacher's network with the weights of a file, on the CPU; nobody's random state is touched."""
    with torch.random.fork_rng(devices=[]):  # the weights that it starts with are replaced
        network = settings.build(classes=classes, channels=channels)
    _load(network, settings.network, path, classes)
    return network


def _load(network: nn.Module, name: str, path: Path, classes: int) -> None:
    try:
        load_weights(network, path)
    except ValueError as error:
        raise ValueError(f"{path} as weights of {name} over {classes} classes: {error}") from None
