"""What a machine has, and whether Decant works on it, for an issue report: no host name, user name or path."""

import platform
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from decant.data import DataSettings
from decant.engine.checkpoint import STUDENT_FILE
from decant.engine.environment import describe_environment, version_of
from decant.engine.estimate import size
from decant.engine.parallel import Parallel
from decant.engine.places import Places
from decant.engine.progress import Reporter
from decant.engine.run import train
from decant.losses import dkd_loss
from decant.methods import DKDSettings
from decant.recipe import NetworkSettings, OneCycle, Recipe, TeacherSettings, TrainSettings

EXTRAS = {
    "detection": ("faster-coco-eval",),
    "timm": ("timm",),
    "hf": ("transformers", "huggingface_hub"),
    "export": ("onnx", "onnxruntime", "onnxscript"),
    "tune": ("optuna",),
    "GPU kernels": ("triton",),
}
"""What is optional -> the packages that it needs."""

_TOLERANCE = 1e-6
"""Of a loss in float32, relative to its own size and that of its factors: what its documentation promises."""


@dataclass(frozen=True)
class Check:
    """A part of the self-test.

    Attributes:
        name: what was tried.
        passed: whether it worked; None for what Decant does without.
        told: what came out.
        seconds: how long it took.
    """

    name: str
    passed: bool | None
    told: str
    seconds: float


def describe_machine(device: str, folder: Path) -> dict[str, Any]:
    """Versions, devices, compilers, free disk where ``folder`` is, and which extras are there."""
    while not folder.exists():
        folder = folder.parent
    return {
        "environment": describe_environment(Parallel(device=device)),
        "system": platform.platform(terse=True),
        "devices": [_device(number) for number in range(torch.cuda.device_count())],
        "compilers": [name for name in ("g++", "clang++", "nvcc") if shutil.which(name)],
        "disk_free": shutil.disk_usage(folder).free,
        "extras": {extra: {name: version_of(name) for name in names} for extra, names in EXTRAS.items()},
    }


def self_test(device: str = "auto", *, compiling: bool = True) -> Iterator[Check]:
    """Try out loss, precision, training, resuming and compiling; a fault of one does not keep the others from it.

    Args:
        device: "auto", "cpu" or "cuda"; resuming is tried on the CPU, where equal bits are promised.
        compiling: whether to try torch.compile, which may take most of the time.
    """
    used = Parallel(device=device).device
    with TemporaryDirectory(prefix="decant-doctor-") as name:
        folder = Path(name)
        yield _tried("loss", lambda: _loss(used))
        yield _tried("bf16", lambda: _bf16(used), needed=False)
        yield _tried("training", lambda: _training(folder / "training", device))
        yield _tried("resuming", lambda: _resuming(folder / "resuming"))
        if compiling:
            yield _tried("compiling", lambda: _compiling(used), needed=False)


def report(machine: dict[str, Any], checks: list[Check]) -> str:
    """Both as plain text."""
    environment = machine["environment"]
    packages = ", ".join(f"{name} {number}" for name, number in environment["packages"].items())
    extras = ", ".join(
        f"{extra} ({', '.join(f'{name} {number}' if number else f'{name} missing' for name, number in names.items())})"
        for extra, names in machine["extras"].items()
    )
    lines = {
        "python": f"{environment['python']}, {machine['system']}",
        "packages": packages,
        "source": "installed" if environment["source"] is None else environment["source"]["commit"][:12],
        "device": f"{environment['device']}, {environment['threads']} threads",
        "GPUs": "; ".join(machine["devices"]) or "none",
        "compilers": ", ".join(machine["compilers"]) or "none found: train.compile does not work on a CPU without one",
        "disk": f"{size(machine['disk_free'])} free",
        "extras": extras,
    }
    words = {True: "ok", False: "FAILED", None: "not here"}
    tests = [f"{words[check.passed]:9} {check.name}: {check.told} ({check.seconds:.1f} s)" for check in checks]
    return "\n".join([*(f"{name:10} {value}" for name, value in lines.items()), "", *tests])


def _tried(name: str, work: Callable[[], str], *, needed: bool = True) -> Check:
    begun = time.perf_counter()
    passed: bool | None = True
    try:
        told = work()
    except Exception as error:  # whatever it is, it belongs into the report
        passed = False if needed else None
        told = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
    return Check(name, passed, told, time.perf_counter() - begun)


def _loss(device: torch.device) -> str:
    """DKD as it is used for training, against its plain equation in float64."""
    generator = torch.Generator().manual_seed(0)
    student, teacher = (3 * torch.randn(64, 100, generator=generator) for _ in range(2))
    target = torch.randint(100, (64,), generator=generator)
    alpha, beta, temperature = 1.0, 8.0, 4.0
    given = dkd_loss(student.to(device), teacher.to(device), target.to(device), alpha=alpha, beta=beta).item()
    q, p = ((logits.double() / temperature).softmax(1) for logits in (student, teacher))
    rows = torch.arange(64)

    def divergence(first: Tensor, second: Tensor) -> Tensor:
        return (first * (first / second).log()).sum(1).mean()

    binary = [torch.stack([each[rows, target], 1 - each[rows, target]], 1) for each in (p, q)]
    others = torch.ones(64, 100, dtype=torch.bool)
    others[rows, target] = False
    rest = [each[others].view(64, 99) / (1 - each[rows, target])[:, None] for each in (p, q)]
    expected = float(temperature**2 * (alpha * divergence(*binary) + beta * divergence(*rest)))
    off = abs(given - expected)
    if not off <= _TOLERANCE * (expected + temperature**2 * (alpha + beta)):
        raise ValueError(f"dkd_loss gives {given:.9g} in float32, its equation {expected:.9g} in float64")
    return f"dkd_loss is its equation up to {off:.1e} of {expected:.3g}"


def _bf16(device: torch.device) -> str:
    network = torch.nn.Conv2d(3, 8, 3).to(device)
    with torch.autocast(device.type, dtype=torch.bfloat16):
        result = network(torch.ones(2, 3, 8, 8, device=device))
    if not result.isfinite().all():
        raise ValueError("a convolution gave values that are not finite")
    return "a convolution gives finite numbers"


def _recipe(**settings: Any) -> Recipe:
    """Two steps an epoch, made-up pictures, a teacher that is trained as long."""
    data = DataSettings(name="fake", padding=1, fake_train=32, fake_test=16, fake_classes=4, fake_pixels=8)
    loop = TrainSettings(epochs=2, batch_size=16, learning_rate=0.05, schedule=OneCycle(), **settings)
    teacher = Recipe(student=NetworkSettings("digits_teacher"), data=data, train=loop)
    student = NetworkSettings("digits_student")
    return Recipe(student, data, TeacherSettings(recipe=teacher), DKDSettings(warmup=1), loop)


def _training(folder: Path, device: str) -> str:
    summary = train(_recipe(), folder / "run", Places(folder / "teachers", device=device), announce=False)
    return f"teacher and student, {summary['epochs']} epochs each, loss {summary['last']['train_loss']:.3f}"


class _StoppedError(Exception):
    pass


class _StopAfter(Reporter):
    def __init__(self, batches: int) -> None:
        self.left = batches

    def advance(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise _StoppedError


def _resuming(folder: Path) -> str:
    recipe, places = _recipe(checkpoint_steps=1), Places(folder / "teachers", device="cpu")
    train(recipe, folder / "whole", places, announce=False)
    for batches in (1, 2):
        with suppress(_StoppedError):
            train(recipe, folder / "torn", places, reporter=_StopAfter(batches), announce=False)
    train(recipe, folder / "torn", places, announce=False)
    whole, torn = (load_file(folder / name / STUDENT_FILE) for name in ("whole", "torn"))
    if differing := [key for key in whole if not torch.equal(whole[key], torn[key])]:
        raise ValueError(f"a resumed run is not the undisturbed one: {', '.join(differing[:4])} differ")
    return "a run that was stopped twice is the undisturbed one, bit for bit"


def _compiling(device: torch.device) -> str:
    given = torch.linspace(-1, 1, 64, device=device)
    compiled = torch.compile(lambda values: values.sin().relu() + 1)(given)
    torch.testing.assert_close(compiled, given.sin().relu() + 1)
    return "torch.compile gives the numbers that it should"


def _device(number: int) -> str:
    known = torch.cuda.get_device_properties(number)
    return f"{known.name}, {size(known.total_memory)}, capability {known.major}.{known.minor}"
