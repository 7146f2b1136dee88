"""The student's file: weights, and in its header all that is needed to use them, alone and offline."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from decant.data import Images, PictureSet, Preprocess, preprocess_from
from decant.engine.checkpoint import STUDENT_FILE, read_about
from decant.engine.environment import version_of
from decant.engine.student_code import code_said, kept_code, own_network
from decant.methods import with_parts
from decant.models import LogitsAlone, build_network, load_weights, network_of_config, require_contained_network
from decant.recipe import Recipe, recipe_to_dict


class LoadedStudent(NamedTuple):
    """A trained network and all that is needed to use it; made by :func:`load_student`.

    Attributes:
        network: images (N, channels, size, size) to logits (N, C), on the CPU, in eval mode.
        classes: names of the C classes, in the order of the logits.
        preprocess: a picture's file, or a Pillow image, to an image (channels, size, size).
        about: all that the file says, in plain values: ``made`` is how it was trained, ``measured`` how well it did.
    """

    network: nn.Module
    classes: tuple[str, ...]
    preprocess: Preprocess
    about: dict[str, Any]

    @property
    def several(self) -> bool:
        """Whether a picture has any number of classes: each logit is then a yes or no of its own."""
        return self.about.get("task") == "multilabel"


def about_student(recipe: Recipe, network: nn.Module, parts: Mapping[str, Any], train_set: Images) -> dict[str, Any]:
    """What a student's file says of its network and what that sees.

    Args:
        recipe: what trained it.
        network: the one that is saved.
        parts: what its method put into it, see :meth:`decant.Method.deployed_parts`.
        train_set: what it was trained on.
    """
    about = {
        "network": recipe.student.name,
        "options": dict(recipe.student.options),
        "classes": list(train_set.classes),
        **_seen(train_set),
        "parts": dict(parts),
        **code_said(recipe),
    }
    if recipe.task == "multilabel":  # each logit is a yes or no of its own
        about["task"] = recipe.task
    return about | {"config": network.config} if isinstance(network, LogitsAlone) else about


def made_and_measured(recipe: Recipe, summary: Mapping[str, Any], samples: int) -> dict[str, Any]:
    """How a student came about, from so many training samples: nothing of the machine, no time of day."""
    teacher, last = summary["teacher"], summary["last"]
    made = {
        "method": recipe_to_dict(recipe)["method"],
        "teacher": teacher["name"] if teacher is not None else None,
        "teacher_sha256": teacher["sha256"] if teacher is not None else None,
        "data": recipe.data.name,
        "data_sha256": summary["data"],
        "training_samples": samples,
        "epochs": summary["epochs"],
        "seed": recipe.seed,
        "decant": version_of("decant-kd"),
        "torch": version_of("torch"),
    }
    scores = ("top1", "top5", "agreement") if recipe.task == "classification" else ("map", "classes", "f1", "exact")
    measured = {name: last[name] for name in ("split", "epoch", "loss", "samples", *scores)}
    return {"weights": summary["evaluated"], "made": made, "measured": measured}


def preprocess_of(images: Images) -> Preprocess:
    """What turns a picture into an image like those of a set, as it is evaluated on them.

    Raises:
        ValueError: images that are not square, or of other than 1 or 3 channels.
    """
    height, width = images.shape[2:]
    if height != width:
        raise ValueError(f"{images.name}: images of {height}x{width} pixels; a network that is saved sees square ones")
    if not isinstance(images, PictureSet):
        return Preprocess(height, height, images.mean, images.std)
    settings = images.settings
    return Preprocess(height, settings.evaluation_resize, images.mean, images.std, settings.interpolation)


def _seen(images: Images) -> dict[str, Any]:
    """What turns a picture into such an image; nothing where none does: the weights are kept all the same."""
    try:
        return {"sees": preprocess_of(images).to_dict()}
    except ValueError:
        return {}


def load_student(path: Path | str, *, trust_code: bool = False) -> LoadedStudent:
    """The student of a file that a run left, ready to use; nothing but the file is read, and nothing is downloaded.

    Networks of timm and transformers need their library (the extras ``timm`` and ``hf``). A student that its method put
    parts into, such as simkd's, comes with them, without its teacher. A network out of a Python file of the user's
    needs that file beside the student's, as the run left it. Nobody's random state is touched.

    Args:
        path: ``student.safetensors``, or the folder of a run, or of ``decant distill``, that holds one.
        trust_code: whether that Python file may be run; it must be the very one that the student was trained with.

    Raises:
        FileNotFoundError: there is no such file, or not the Python file that makes its network.
        ValueError: a file of another origin, a detector's, a library that is not installed, a student with parts of a
            method that does not say what they are, code that has changed or is not trusted, or images that no picture
            becomes.

    >>> student = load_student("runs/mine/student.safetensors")  # doctest: +SKIP
    >>> logits = student.network(student.preprocess("cat.jpg")[None])  # doctest: +SKIP
    >>> student.classes[logits.argmax()]  # doctest: +SKIP
    'cat'
    """
    file = student_path(Path(path))
    about = read_about(file)
    if about.get("task") == "detection":
        raise ValueError(f"{file} is a detector's: use it by the folder of its run (decant predict RUN PICTURE)")
    missing = [key for key in ("network", "options", "classes", "sees") if key not in about]
    if missing == ["sees"]:
        raise ValueError(
            f"{file} does not say how a picture becomes what its network sees: it was trained on images that are not "
            "square, or of other than 1 or 3 channels. Make the network with decant.models.build_network, and fill it "
            "with decant.models.load_weights"
        )
    if missing:
        raise ValueError(
            f"{file} does not say what it is (no {', '.join(missing)} in its header): expected the student.safetensors "
            "of a run; weights of another origin are for teacher.weights and student.weights in a recipe"
        )
    preprocess = preprocess_from(about["sees"])
    with torch.random.fork_rng(devices=[]):  # the weights that it starts with are replaced
        network = with_parts(_built(file, about, preprocess.channels, trust_code), about.get("parts", {}))
    load_weights(network, file)
    return LoadedStudent(network.eval(), tuple(about["classes"]), preprocess, about)


def student_path(path: Path) -> Path:
    """The student's file: the given one, or that in the folder.

    Raises:
        FileNotFoundError: there is none.
    """
    file = path / STUDENT_FILE if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(f"there is no {file}: name a student.safetensors, or a folder with a finished run's")
    return file


def _built(file: Path, about: Mapping[str, Any], channels: int, trust_code: bool) -> nn.Module:
    classes = len(about["classes"])
    if (code := kept_code(file, about)) is not None:
        return own_network(code, about, classes=classes, channels=channels, trust_code=trust_code)
    if "config" in about:
        return network_of_config(about["config"])
    require_contained_network(about["network"])  # a header comes from anywhere
    return build_network(about["network"], classes=classes, channels=channels, options=about["options"])
