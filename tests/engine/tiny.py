"""Recipes that train in a blink, and what their runs leave behind."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from decant.data import DataSettings, Splits, load
from decant.engine import Places
from decant.engine.parallel import Parallel
from decant.engine.progress import Reporter
from decant.engine.teacher import Teacher
from decant.interfaces import MethodSettings
from decant.methods import SupervisedSettings
from decant.models import ZooNetwork, create
from decant.recipe import NetworkSettings, OneCycle, Recipe, TeacherSettings, TrainSettings

CLASSES = 8
DATA = DataSettings(name="fake", padding=1, fake_train=64, fake_test=48, fake_classes=CLASSES, fake_pixels=8)
TRAIN = TrainSettings(epochs=3, batch_size=16, learning_rate=0.1, nesterov=True, schedule=OneCycle())
TEACHER = Recipe(student=NetworkSettings("digits_teacher"), data=DATA, train=TRAIN, seed=5)


def recipe(
    method: MethodSettings | None = None, *, student: str = "digits_student", seed: int = 0, **train: Any
) -> Recipe:
    """A recipe of three epochs of four batches; with a teacher where the method is not the supervised one."""
    method = method or SupervisedSettings()
    return Recipe(
        student=NetworkSettings(student),
        data=DATA,
        teacher=None if method.name == "supervised" else TeacherSettings(recipe=TEACHER),
        method=method,
        train=replace(TRAIN, **train),
        seed=seed,
    )


def places(folder: Path) -> Places:
    """Teachers below ``folder``, everything on the CPU."""
    return Places(teachers=folder / "teachers", device="cpu")


def splits(data: DataSettings = DATA) -> Splits:
    """The images."""
    return load(data)


def untrained_teacher() -> Teacher:
    """A teacher that took no time to train; always the same one."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = create("digits_teacher", num_classes=CLASSES, in_channels=3)
    return Teacher(network.eval().requires_grad_(False), "digits_teacher", "c0ffee", top1=None)


def on_cpu(precision: str = "fp32") -> Parallel:
    """One process on the CPU."""
    return Parallel(device="cpu", precision=precision)


def weights_of(folder: Path) -> dict[str, Tensor]:
    """The tensors of a finished run's student."""
    return load_file(folder / "student.safetensors")


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl without the seconds, which no two runs share."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [{key: value for key, value in json.loads(line).items() if key != "seconds"} for line in lines]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder``, but for the locks of running processes, which say nothing."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


class LostMachineError(Exception):
    """Stands for a lost machine."""


class Heard(Reporter):
    """Remembers what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


class InterruptAfter(Heard):
    """Ends a run at its so-many-th batch."""

    def __init__(self, batches: int) -> None:
        super().__init__()
        self.left = batches

    def advance(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise LostMachineError


class Plain(ZooNetwork):
    """Without BatchNorm, so that a batch and its halves have the same gradient; with dropout if asked for."""

    def __init__(self, *, num_classes: int = CLASSES, in_channels: int = 3, dropout: float = 0.0) -> None:
        super().__init__()
        self.hidden = nn.Linear(in_channels * 64, 16)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(16, num_classes)
        self.taps = {"hidden": "hidden"}

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.dropout(self.hidden(images.flatten(1)).relu()))
        return logits
