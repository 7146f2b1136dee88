"""A student beside its teacher on the images that it was judged on: who is right, on which class, and how surely."""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from decant.data import Images, PictureSplits, Splits, plain_batches
from decant.engine import Places
from decant.engine.predictions import Predictions, predict, student_of
from decant.engine.run import kept_teacher, load_judged
from decant.engine.supply import judged_images
from decant.evidence import Run
from decant.evidence.calibration import Reliability
from decant.evidence.correlation import correlation_difference
from decant.recipe import Recipe, load_recipe

_PICTURES = 8
"""Pictures of each kind."""
_PIXELS = 96
"""Side of the largest picture that a page holds; larger ones are made smaller."""


@dataclass(frozen=True)
class Said:
    """What a network says of one picture: a class, and how sure it is, 0 to 1."""

    name: str
    confidence: float


@dataclass(frozen=True)
class Picture:
    """A picture with what was said of it; ``source`` is a PNG as a data URI, ``index`` its place among the images."""

    source: str
    index: int
    name: str
    teacher: Said
    student: Said


@dataclass(frozen=True)
class ClassCount:
    """Images of one class, by who is right."""

    name: str
    images: int
    both: int
    teacher_alone: int
    student_alone: int
    neither: int
    same_answer: int


@dataclass(frozen=True)
class Beside:
    """A student beside its teacher.

    Attributes:
        images: name of what both were asked about.
        classes: counts, class by class.
        pictures: what the pictures show -> the most telling ones.
        student, teacher: their calibration.
        correlation: absolute difference of the logits' correlations, (C, C), and its mean over pairs of classes.
    """

    images: str
    classes: tuple[ClassCount, ...]
    pictures: Mapping[str, tuple[Picture, ...]]
    student: Reliability
    teacher: Reliability
    correlation: tuple[NDArray[np.float64], float]


class Onlooker:
    """Asks students and teachers about the images that they were judged on. Data and teachers are loaded once.

    Args:
        places: data, teachers and device on this machine; nothing is downloaded or trained.
        trust_code: whether the Python files that recipes take methods from may be run.
    """

    def __init__(self, places: Places, *, trust_code: bool = False) -> None:
        self._places, self._trust_code = places, trust_code
        self._splits: dict[str, Splits | PictureSplits] = {}
        self._taught: dict[str, Predictions] = {}
        self._seen: dict[tuple[Path, str], Beside] = {}

    def look(self, run: Run, teacher_of: Run) -> Beside:
        """The student of a finished run beside the teacher of ``teacher_of``, which may be the same run.

        Raises:
            ValueError: data, weights or teacher are not those of the run, or its recipe cannot be read.
            OSError: they are not there.
        """
        summary = run.summary or {}
        key = (run.path, str(summary.get("seconds")))
        if key not in self._seen:
            self._seen[key] = self._look(run, teacher_of)
        return self._seen[key]

    def _look(self, run: Run, teacher_of: Run) -> Beside:
        recipe = load_recipe(teacher_of.path / "recipe.json", trust_code=self._trust_code)
        splits = self._load(recipe)
        images = judged_images(recipe, splits)
        if (known := (run.summary or {}).get("judged")) is not None and known != images.fingerprint():
            raise ValueError(f"the images of {images.name} at hand are not those that {run.path} was judged on")
        student = predict(student_of(run.path, images, trust_code=self._trust_code), images, images.device)
        return beside(student, self._ask_teacher(recipe, teacher_of, splits, images), images)

    def _load(self, recipe: Recipe) -> Splits | PictureSplits:
        key = repr(recipe.data)
        if key not in self._splits:
            self._splits[key] = load_judged(recipe, self._places)
        return self._splits[key]

    def _ask_teacher(self, recipe: Recipe, run: Run, splits: Splits | PictureSplits, images: Images) -> Predictions:
        taught = str(((run.summary or {}).get("teacher") or {}).get("sha256"))
        key = f"{taught} {images.fingerprint()}"
        if key not in self._taught:
            teacher = kept_teacher(recipe, splits, self._places)
            if teacher.sha256 != taught:
                raise ValueError(f"the teacher at hand is not the one that taught {run.path}: its weights are others")
            self._taught[key] = predict(teacher.network, images, images.device)
        return self._taught[key]


def beside(student: Predictions, teacher: Predictions, images: Images) -> Beside:
    """What two networks said of the same images, held against each other.

    Raises:
        ValueError: they were not asked about the same images.
    """
    if not torch.equal(student.target, teacher.target) or len(student.target) != images.size:
        raise ValueError(
            f"expected answers of both networks to all {images.size} images, got {len(student.target)} and "
            f"{len(teacher.target)}"
        )
    target = student.target
    answers = {"student": student.logits.argmax(1), "teacher": teacher.logits.argmax(1)}
    right = {name: answer == target for name, answer in answers.items()}
    kinds = {
        "the teacher is right, the student is not": right["teacher"] & ~right["student"],
        "the student is right, the teacher is not": right["student"] & ~right["teacher"],
        "both are wrong, and differ": ~right["student"]
        & ~right["teacher"]
        & (answers["student"] != answers["teacher"]),
    }
    return Beside(
        images=images.name,
        classes=tuple(_counts(answers, right, target, images.classes)),
        pictures={kind: _telling(chosen, student, teacher, images) for kind, chosen in kinds.items()},
        student=student.calibration(),
        teacher=teacher.calibration(),
        correlation=correlation_difference(student.logits.numpy(), teacher.logits.numpy()),
    )


def _counts(
    answers: Mapping[str, Tensor], right: Mapping[str, Tensor], target: Tensor, names: tuple[str, ...]
) -> list[ClassCount]:
    def by_class(chosen: Tensor) -> list[int]:
        counted: list[int] = torch.bincount(target[chosen], minlength=len(names)).tolist()
        return counted

    student, teacher = right["student"], right["teacher"]
    parts = (
        torch.ones_like(student),
        student & teacher,
        teacher & ~student,
        student & ~teacher,
        ~student & ~teacher,
        answers["student"] == answers["teacher"],
    )
    return [ClassCount(name, *row) for name, row in zip(names, zip(*map(by_class, parts), strict=True), strict=True)]


def _telling(chosen: Tensor, student: Predictions, teacher: Predictions, images: Images) -> tuple[Picture, ...]:
    """The chosen pictures on which both are surest."""
    sure = {name: said.logits.double().softmax(1).max(1) for name, said in (("s", student), ("t", teacher))}
    both = torch.where(chosen, sure["s"].values * sure["t"].values, -1.0)
    places = both.argsort(descending=True, stable=True)[: min(_PICTURES, int(chosen.sum()))]
    if not len(places):
        return ()
    subset = images.subset(places.to(images.device), images.name)
    pixels = next(plain_batches(subset, len(places))).images[0].cpu()
    return tuple(
        Picture(
            source=_png(one, images),
            index=index,
            name=images.classes[int(student.target[index])],
            teacher=_said(sure["t"], index, images.classes),
            student=_said(sure["s"], index, images.classes),
        )
        for one, index in zip(pixels, places.tolist(), strict=True)
    )


def _said(sure: Any, index: int, names: tuple[str, ...]) -> Said:
    return Said(names[int(sure.indices[index])], float(sure.values[index]))


def _png(pixels: Tensor, images: Images) -> str:
    """A normalised image (channels, H, W) as the PNG of what it was before."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (images.mean, images.std))
    levels = ((pixels * std + mean) * 255).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
    picture = Image.fromarray(levels[:, :, 0] if levels.shape[2] == 1 else levels)
    picture.thumbnail((_PIXELS, _PIXELS))
    file = io.BytesIO()
    picture.save(file, format="png")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
