"""Writing a student down for other runtimes: held against the original on real pictures first, and timed."""

import hashlib
import json
import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from decant.engine.checkpoint import write_atomically, write_text
from decant.engine.environment import version_of
from decant.engine.export_formats import EXPORT_FORMATS, Runs
from decant.engine.student_file import LoadedStudent

TOLERANCE = 1e-4
"""Largest difference of a logit, as a share of the largest logit: float32 networks differ by 1e-7 to 1e-5."""

_REPEATS, _SECONDS = 20, 2.0
"""A time is the median of so many calls, or of fewer that took so long together."""


@dataclass(frozen=True)
class Agreement:
    """The exported network beside the original.

    Attributes:
        pictures: how many both were shown, in one batch and the first by itself.
        difference: largest difference of a logit.
        largest_logit: largest logit of the original, of either sign.
        same_answer: share of the pictures for which both name the same class, 0 to 1; where a picture may have any
            number of classes, for which both say yes to the same ones.
    """

    pictures: int
    difference: float
    largest_logit: float
    same_answer: float


@dataclass(frozen=True)
class Exported:
    """What was written, and what it was checked to be.

    Attributes:
        file: the exported network.
        report: the JSON file beside it with all that is here.
        agreement: with the original.
        milliseconds: "original" and "exported" -> batch size -> median milliseconds per picture, on the CPU.
        threads: with so many threads.
    """

    file: Path
    report: Path
    agreement: Agreement
    milliseconds: dict[str, dict[int, float]]
    threads: int


class UnequalExportError(ValueError):
    """An exported network that does not do what the original does."""


def export_student(
    student: LoadedStudent,
    images: Tensor,
    out: Path,
    *,
    kind: str = "onnx",
    tolerance: float = TOLERANCE,
) -> Exported:
    """Write a student as ONNX or as a program of torch.export, for any batch size, once it was found to be the same.

    Class names and preprocessing are in the file's metadata: ``classes`` and ``preprocessing``, JSON each, ``network``
    and ``decant``. Logits come out, as they do of the original. A file that fails the check is never written.

    Args:
        student: from :func:`decant.load_student`, on the CPU.
        images: real ones, preprocessed, (N, channels, size, size), N at least 2: what the check is made on.
        out: the file to write; beside it comes ``out.json`` with what was checked and timed.
        kind: a name of ``EXPORT_FORMATS``.
        tolerance: largest difference of a logit as a share of the largest logit.

    Raises:
        FileExistsError: ``out`` is there and was not exported by this function, or was changed since.
        UnequalExportError: the exported network differs by more than ``tolerance``.
        ValueError: an unknown format, fewer than 2 images, a network that cannot be exported, a library that is not
            installed.
    """
    if kind not in EXPORT_FORMATS:
        raise ValueError(f"there is no format {kind!r}; there are: {', '.join(EXPORT_FORMATS)}")
    if len(images) < 2:
        raise ValueError(f"the check is made on 2 pictures or more, got {len(images)}")
    report = out.with_name(out.name + ".json")
    refuse_foreign(out, report)
    way = EXPORT_FORMATS[kind]
    facts = {
        "classes": json.dumps(student.classes, ensure_ascii=False),
        "preprocessing": json.dumps(student.preprocess.to_dict() | {"channels": student.preprocess.channels}),
        "network": str(student.about["network"]),
        "decant": str(version_of("decant-kd")),
    }
    content = way.written(student.network, images[:2], facts)
    exported = way.opened(content)
    agreement = agree(student.network, exported, images, several=student.several)
    if not agreement.difference <= tolerance * agreement.largest_logit:  # also where it is not a number
        raise UnequalExportError(
            f"the exported {facts['network']} differs from the original by up to {agreement.difference:.3g} in a logit "
            f"(largest logit {agreement.largest_logit:.3g}; the same answer for {100 * agreement.same_answer:.1f}% of "
            f"{agreement.pictures} pictures): more than the tolerance of {tolerance:g} allows. Nothing was written; "
            "give a larger --tolerance if that will do"
        )
    sizes = sorted({1, len(images)})
    timed: dict[str, Runs] = {"original": student.network, "exported": exported}
    milliseconds = {name: {size: _per_picture(runs, images[:size]) for size in sizes} for name, runs in timed.items()}
    made = Exported(out, report, agreement, milliseconds, torch.get_num_threads())
    out.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)  # it vouches for the file, so it goes first and comes last
    write_atomically(out, lambda temporary: temporary.write_bytes(content))
    write_text(report, json.dumps(_told(made, kind, tolerance, content), indent=2) + "\n")
    return made


def refuse_foreign(out: Path, report: Path) -> None:
    """Raise FileExistsError unless ``out`` is free, or holds what the report beside it says that was exported."""
    if not out.exists() and not report.exists():
        return
    try:
        known = json.loads(report.read_text(encoding="utf-8"))["sha256"]
    except (OSError, ValueError, TypeError, KeyError):
        known = None
    if known is None or (out.exists() and known != hashlib.sha256(out.read_bytes()).hexdigest()):
        there = out if out.exists() else report
        raise FileExistsError(f"{there} is there and was not exported by Decant; give another file with --out")


@torch.no_grad()
def agree(original: Runs, exported: Runs, images: Tensor, *, several: bool = False) -> Agreement:
    """Both on all images in one batch, and on the first by itself; ``several`` for any number of classes to each."""
    goal, made = original(images), exported(images)
    alone = (exported(images[:1]) - original(images[:1])).abs().max()
    difference = torch.maximum((made - goal).abs().max(), alone)
    same = ((made > 0) == (goal > 0)).all(1) if several else made.argmax(1) == goal.argmax(1)
    return Agreement(len(images), float(difference), float(goal.abs().max()), float(same.double().mean()))


@torch.no_grad()
def _per_picture(runs: Runs, images: Tensor) -> float:
    runs(images)  # the first call sets things up
    seconds: list[float] = []
    while len(seconds) < _REPEATS and sum(seconds) < _SECONDS:
        start = time.perf_counter()
        runs(images)
        seconds.append(time.perf_counter() - start)
    return 1000 * statistics.median(seconds) / len(images)


def _told(made: Exported, kind: str, tolerance: float, content: bytes) -> dict[str, Any]:
    libraries = ("torch", "onnx", "onnxruntime", "onnxscript") if kind == "onnx" else ("torch",)
    return {
        "format": kind,
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "agreement": asdict(made.agreement),
        "tolerance": tolerance,
        "milliseconds_per_picture": made.milliseconds,
        "threads": made.threads,
        "packages": {name: version_of(name) for name in libraries},
    }
