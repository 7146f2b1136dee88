"""What a trained detector and its teacher see in a picture, drawn side by side."""

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont
from torch import Tensor, nn

from decant.detection.picture_set import read_picture
from decant.detection.recipe import DetectionRecipe
from decant.detection.run import trained_detector
from decant.detection.teacher import classes_in, teacher_from_file, teacher_from_torchvision
from decant.engine.checkpoint import STUDENT_FILE
from decant.engine.parallel import Parallel
from decant.engine.places import Places
from decant.engine.record import finished, read_summary
from decant.engine.teacher import teacher_folder
from decant.recipe import load_as

_READABLE, _CAPTION = 480, 24
"""Shorter side to which small pictures are enlarged, and height of the line above each, in pixels."""


@dataclass(frozen=True)
class Seen:
    """What one detector says of one picture.

    Attributes:
        who: what to write above it.
        boxes: x1 y1 x2 y2 in pixels (n, 4), surest first.
        names: class of each.
        scores: probability of each, 0 to 1.
    """

    who: str
    boxes: Tensor
    names: tuple[str, ...]
    scores: tuple[float, ...]


def look(detector: nn.Module, who: str, classes: Sequence[str], image: Tensor, score: float) -> Seen:
    """What the detector finds in a picture, uint8 (3, H, W), with a probability of at least ``score``."""
    names = classes if classes[:1] == ("__background__",) else ("__background__", *classes)
    device = next(detector.parameters()).device
    with torch.no_grad():
        (found,) = detector([image.to(device).float() / 255])
    kept = found["scores"] >= score
    labels = found["labels"][kept].tolist()
    return Seen(
        who, found["boxes"][kept].cpu(), tuple(names[label] for label in labels), tuple(found["scores"][kept].tolist())
    )


def predict(folder: Path, picture: Path, out: Path, places: Places, *, score: float = 0.5) -> tuple[Seen, ...]:
    """Draw what the student of a finished run finds in a picture, with what its teacher finds beside it.

    Args:
        folder: the run folder of a detection recipe.
        picture: the file to look at.
        out: the file to write, such as ``seen.png``.
        places: teachers, data and device on this machine.
        score: probability below which nothing is drawn.

    Returns:
        What was drawn: the teacher's, where the run has a teacher that is still there, and the student's.

    Raises:
        FileExistsError: ``out`` is there already.
        FileNotFoundError: there is no finished run, or no picture.
        ValueError: the file is no picture, or ``score`` is no probability.
    """
    if not 0 <= score <= 1:
        raise ValueError(f"score is a probability from 0 to 1, got {score}")
    if out.exists():
        raise FileExistsError(f"{out} is there already; give another file with --out")
    if not finished(folder):
        raise FileNotFoundError(f"{folder} holds no finished run of a detector")
    recipe = load_as(DetectionRecipe, folder / "recipe.json")
    image = read_picture(picture)
    classes = classes_in(folder / STUDENT_FILE) or ()
    device = Parallel(device=places.device).device
    seen = []
    if (teacher := _teacher(recipe, classes, places)) is not None:
        seen.append(look(teacher[0].to(device), f"teacher: {teacher[1]}", teacher[2], image, score))
    student = trained_detector(folder, recipe, len(classes)).to(device)
    seen.append(look(student, f"student: {recipe.student.name}, {recipe.methods}", classes, image, score))
    drawn = side_by_side(image, seen)
    out.parent.mkdir(parents=True, exist_ok=True)
    drawn.save(out)
    return tuple(seen)


def side_by_side(image: Tensor, seen: Sequence[Seen]) -> Pillow.Image:
    """The picture once for each detector, with its boxes; small pictures are enlarged. One colour per class."""
    scale = max(1, _READABLE // min(image.shape[1:]))
    plain = Pillow.fromarray(np.ascontiguousarray(image.permute(1, 2, 0).numpy()))
    plain = plain.resize((plain.width * scale, plain.height * scale))
    font = ImageFont.load_default(14)
    sheet = Pillow.new("RGB", (plain.width * len(seen), plain.height + _CAPTION), "white")
    colours = _colours(sorted({name for each in seen for name in each.names}))
    for place, each in enumerate(seen):
        part = plain.copy()
        pen = ImageDraw.Draw(part)
        # The surest last, on top of the others.
        for box, name, score in reversed(
            list(zip((each.boxes * scale).tolist(), each.names, each.scores, strict=True))
        ):
            pen.rectangle(box, outline=colours[name], width=2)
            text = f"{name} {score:.2f}"
            left, top = box[0] + 2, max(box[1] - 16, 0)
            pen.rectangle(pen.textbbox((left, top), text, font=font), fill=colours[name])
            pen.text((left, top), text, fill="white", font=font)
        sheet.paste(part, (place * plain.width, _CAPTION))
        ImageDraw.Draw(sheet).text((place * plain.width + 4, 4), each.who, fill="black", font=font)
    return sheet


def _colours(names: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """A colour for each name, as far from the others as may be."""
    return {
        name: tuple(int(255 * part) for part in colorsys.hsv_to_rgb(number / max(len(names), 1), 0.9, 0.7))
        for number, name in enumerate(names)
    }


def _teacher(
    recipe: DetectionRecipe, classes: tuple[str, ...], places: Places
) -> tuple[nn.Module, str, tuple[str, ...]] | None:
    """Network, name and classes of the run's teacher where it is at hand; it is never trained for this."""
    settings = recipe.teacher
    if settings is None:
        return None
    if settings.torchvision is not None:
        teacher = teacher_from_torchvision(settings, settings.torchvision, places)
    elif settings.recipe is not None:
        kept = teacher_folder(places.teachers, settings.recipe)
        if not finished(kept):
            return None
        ap = read_summary(kept)["last"]["ap"]
        teacher = teacher_from_file(settings, settings.recipe.student, kept / STUDENT_FILE, classes, ap)
    elif settings.detector is not None:
        teacher = teacher_from_file(settings, settings.detector, Path(str(settings.weights)), classes, None)
    return teacher.network, teacher.name, teacher.classes
