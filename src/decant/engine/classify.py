"""What a trained student says of pictures in files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from decant.data import Preprocess
from decant.data.pictures.decode import UnreadablePictureError
from decant.data.pictures.listing import pictures_below
from decant.data.pictures.workers import in_workers
from decant.engine.parallel import Parallel
from decant.engine.student_file import LoadedStudent


@dataclass(frozen=True)
class Answer:
    """What a student says of one picture.

    Attributes:
        picture: its file.
        classes: the likeliest classes, surest first; empty where the picture could not be read.
        probabilities: of these, 0 to 1; of a student that learned any number of classes to a picture, each by itself.
        fault: why the picture could not be read; None where it could.
    """

    picture: Path
    classes: tuple[str, ...] = ()
    probabilities: tuple[float, ...] = ()
    fault: str | None = None


def find_pictures(places: Sequence[Path]) -> list[Path]:
    """The given files, whatever they are called, and all pictures below the given folders, each file once.

    Raises:
        FileNotFoundError: a place that there is not.
        ValueError: no picture in a folder.
    """
    found: dict[Path, None] = {}
    for place in places:
        if not place.exists():
            raise FileNotFoundError(f"there is no picture or folder {place}")
        below = pictures_below(place) if place.is_dir() else [place]
        if not below:
            raise ValueError(f"there is no picture in {place}: no file in it ends like one (.jpg, .png ...)")
        found |= dict.fromkeys(below)
    return list(found)


def classify(
    student: LoadedStudent,
    pictures: Sequence[Path],
    *,
    top: int = 5,
    batch_size: int = 64,
    device: str = "auto",
    workers: int = 0,
) -> Iterator[Answer]:
    """The student's likeliest classes for each picture, in order, as they are worked out.

    Args:
        student: from :func:`decant.load_student`; its network is moved to ``device``.
        pictures: files; one that cannot be read gets an answer with a fault.
        top: how many classes; all where there are fewer.
        batch_size: pictures per forward pass.
        device: "auto", "cpu" or "cuda".
        workers: processes that read pictures; 0 for this one. They change no answer.

    Raises:
        ValueError: ``top`` or ``batch_size`` below 1.
        ChildProcessError: a worker died.
    """
    if top < 1 or batch_size < 1:
        raise ValueError(f"top and batch_size are at least 1, got {top} and {batch_size}")
    where = Parallel(device=device).device
    network = student.network.to(where)
    top = min(top, len(student.classes))
    numbers = range(-(-len(pictures) // batch_size))
    jobs = _Read(student.preprocess, tuple(pictures), batch_size)
    for number, read in zip(numbers, in_workers(jobs, numbers, workers), strict=True):
        part = pictures[number * batch_size : (number + 1) * batch_size]
        seen = [pixels for pixels in read if isinstance(pixels, Tensor)]
        told: Iterator[tuple[list[float], list[int]]] = iter(())
        if seen:
            with torch.no_grad():
                logits = network(student.preprocess.normalised(torch.stack(seen).to(where)))
            likeliest = (logits.float().sigmoid() if student.several else logits.float().softmax(1)).topk(top, dim=1)
            told = zip(likeliest.values.tolist(), likeliest.indices.tolist(), strict=True)
        for picture, pixels in zip(part, read, strict=True):
            if isinstance(pixels, str):
                yield Answer(picture, fault=pixels)
                continue
            probabilities, places = next(told)
            yield Answer(picture, tuple(student.classes[place] for place in places), tuple(probabilities))


@dataclass(frozen=True)
class _Read:
    """The pixels of a batch of pictures by its number, or why there are none."""

    preprocess: Preprocess
    pictures: tuple[Path, ...]
    batch_size: int

    def __call__(self, number: int) -> list[Tensor | str]:
        return [self._one(path) for path in self.pictures[number * self.batch_size : (number + 1) * self.batch_size]]

    def _one(self, path: Path) -> Tensor | str:
        try:
            return self.preprocess.pixels(path)
        except UnreadablePictureError as error:
            return str(error)
