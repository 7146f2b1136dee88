"""The teacher of a detection recipe, as it is found: a file, a kept run, or torchvision's."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from decant.detection.builders import create_detector
from decant.detection.pretrained import torchvision_detector
from decant.detection.recipe import DetectionTeacherSettings, DetectorSettings
from decant.engine.places import Places
from decant.models import load_weights


@dataclass(frozen=True)
class DetectionTeacher:
    """A trained teacher.

    Attributes:
        network: in eval mode, on the CPU.
        name: what it is called.
        classes: its class names from label 1 on.
        sha256: digest of its weights.
        ap: its average precision on the test pictures, where it was trained here.
    """

    network: nn.Module
    name: str
    classes: tuple[str, ...]
    sha256: str
    ap: float | None

    def to_dict(self) -> dict[str, Any]:
        """What a run's summary says about it."""
        return {"name": self.name, "sha256": self.sha256, "ap": self.ap}


def weights_folder(places: Places) -> Path:
    """Where torchvision's weights are kept: beside the data sets."""
    if places.data is None:
        raise ValueError(
            "torchvision's weights are kept beside the data sets: say where these are (--data, Places.data)"
        )
    return places.data / "weights"


def load_detector(settings: DetectorSettings, path: Path, classes: int) -> nn.Module:
    """The detector of these settings over so many classes and the background, with the weights of a file, on the CPU.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the weights are not those of this detector.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file of weights {path}")
    with torch.random.fork_rng(devices=[]):  # the weights that it starts with are replaced
        # Frozen BatchNorms do in training what others do in evaluation, so that one kind serves for both here.
        detector: nn.Module = create_detector(settings.name, num_classes=classes + 1, **settings.sizes)
    try:
        load_weights(detector, path)
    except ValueError as error:
        raise ValueError(f"{path} as weights of {settings.name} over {classes} classes: {error}") from None
    return detector


def classes_in(path: Path) -> tuple[str, ...] | None:
    """The class names that a run wrote into its file of weights; None where a file has none."""
    if path.suffix != ".safetensors":
        return None
    with safe_open(path, framework="pt") as file:
        about = (file.metadata() or {}).get("decant")
    return tuple(json.loads(about)["classes"]) if about is not None else None


def teacher_from_file(
    settings: DetectionTeacherSettings, detector: DetectorSettings, path: Path, data: tuple[str, ...], ap: float | None
) -> DetectionTeacher:
    """The teacher with the weights of a file; its classes are those it says, or the file's, or those of the data."""
    if not path.is_file():
        raise FileNotFoundError(f"teacher.weights: there is no file {path}")
    classes = settings.classes or classes_in(path) or data
    network = load_detector(detector, path, len(classes))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return DetectionTeacher(network.eval().requires_grad_(False), settings.name, classes, digest, ap)


def teacher_from_torchvision(settings: DetectionTeacherSettings, name: str, places: Places) -> DetectionTeacher:
    """One of torchvision's, over MS-COCO's classes."""
    network, classes = torchvision_detector(name, weights_folder(places), download=places.download)
    digest = hashlib.sha256()
    for key, value in network.state_dict().items():
        digest.update(key.encode() + _bytes(value))
    found = settings.classes or classes
    return DetectionTeacher(network.eval().requires_grad_(False), settings.name, found, digest.hexdigest(), None)


def _bytes(value: Tensor) -> bytes:
    return bytes(value.detach().contiguous().view(-1).numpy().tobytes())
