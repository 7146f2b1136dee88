"""Distilling any network into any other with loaders of one's own, in one call."""

from collections.abc import Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from decant.engine.distiller import Distiller
from decant.engine.fit import EpochLog, fit_epoch
from decant.engine.optim import make_optimizer
from decant.engine.parallel import Parallel
from decant.engine.progress import Reporter
from decant.interfaces import Batch, MethodSettings
from decant.methods import METHODS
from decant.recipe import Cosine, TrainSettings, with_candidate


class Loader(Sized, Iterable[tuple[Tensor, Tensor]], Protocol):
    """What gives batches of images (N, ...) and class indices (N,) again and again: a torch DataLoader, a list."""


@dataclass(frozen=True)
class Distillation:
    """What came of :func:`distill`.

    Attributes:
        student: the trained network, in eval mode; the very one that was given, unless the method makes another.
        top1: its accuracy on ``val`` in percent, after each epoch; empty without ``val``.
        teacher_top1: the teacher's; None without one, or without ``val``.
        log: mean loss and raw terms of each epoch.
    """

    student: nn.Module
    top1: tuple[float, ...]
    teacher_top1: float | None
    log: tuple[EpochLog, ...]


def distill(
    teacher: nn.Module | None,
    student: nn.Module,
    train: Loader,
    val: Loader | None = None,
    method: str | MethodSettings = "dkd",
    *,
    epochs: int = 10,
    learning_rate: float = 0.02,
    settings: TrainSettings | None = None,
    device: str = "auto",
    student_taps: Mapping[str, str] | None = None,
    teacher_taps: Mapping[str, str] | None = None,
    reporter: Reporter | None = None,
) -> Distillation:
    """Train ``student`` by ``teacher`` for some epochs of a loader; both are any modules over the same classes.

    What the loader draws at random is its own affair. For runs that resume, controls and verdicts there are recipes and
    `decant distill`; for all else there is :class:`decant.Distiller` in a loop of one's own.

    Args:
        teacher: the trained network, images to logits (N, C); it is put into eval mode and frozen. None for
            ``supervised``.
        student: the network that is trained, images to logits (N, C).
        train: batches of images and class indices.
        val: likewise, to judge on.
        method: a name of ``decant.METHODS`` or settings. A warm-up by default is cut to a fifth of the epochs.
        epochs: passes over ``train``.
        learning_rate: of SGD with Nesterov momentum, which falls by half a cosine to 0.
        settings: all of the training loop, in the place of the last two.
        device: "auto", "cpu" or "cuda"; both networks are moved there.
        student_taps: tap name -> module path, for methods that learn from features.
        teacher_taps: the same of the teacher.
        reporter: told the accuracy of every epoch; None for silence.

    Raises:
        ValueError: a loader without batches; a method that these networks, or loaders, cannot serve.
        NonFiniteLossError: the training diverged.

    >>> images, target = torch.eye(4).repeat(8, 1), torch.arange(4).repeat(8)
    >>> teacher, student = nn.Linear(4, 4), nn.Linear(4, 4)
    >>> _ = teacher.weight.data.copy_(8 * torch.eye(4))
    >>> distill(teacher, student, [(images, target)], [(images, target)], epochs=30, learning_rate=0.5).top1[-1]
    100.0
    """
    if len(train) < 1 or (val is not None and len(val) < 1):
        raise ValueError("expected loaders with at least one batch, got one without")
    if isinstance(method, str) and method in METHODS:
        method = within(METHODS[method](), settings.epochs if settings is not None else epochs)
    if settings is not None and settings.mixes_labels:
        raise ValueError("labels of a loader are mixed by the loader: leave mixup, cutmix and label_smoothing at 0")
    settings = settings or TrainSettings(
        epochs=epochs, learning_rate=learning_rate, nesterov=True, schedule=Cosine(), channels_last=False
    )
    parallel = Parallel(device=device, precision=settings.precision)
    reporter = reporter or Reporter()
    distiller = Distiller(
        student.to(parallel.device),
        teacher.to(parallel.device) if teacher is not None else None,
        method,
        student_taps=student_taps,
        teacher_taps=teacher_taps,
        example=next(iter(train))[0][:2].to(parallel.device),
    ).to(parallel.device)
    optimizer = parallel.prepare_optimizer(make_optimizer(distiller, settings))

    def step(batch: Batch) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
        made = distiller(batch.images, batch.target, epoch=batch.epoch)
        return (made.loss,), made.terms

    def batches(epoch: int) -> Iterator[Batch]:
        for number, (images, target) in enumerate(train):
            index = torch.arange(len(target), device=parallel.device)
            images, target = images.to(parallel.device), target.to(parallel.device)
            yield Batch((images,), target, index, epoch + number / len(train))

    distiller.prepare((images.to(parallel.device), target.to(parallel.device)) for images, target in train)
    taught = _top1(teacher, val, parallel) if val is not None and teacher is not None else None
    log, top1 = [], []
    for epoch in range(settings.epochs):
        log.append(
            fit_epoch(
                epoch,
                step=step,
                batches=batches(epoch),
                steps=len(train),
                module=distiller,
                optimizer=optimizer,
                settings=settings,
                parallel=parallel,
            )
        )
        if val is not None:
            top1.append(_top1(distiller.deployed(), val, parallel))
            beside = f" (teacher {taught:.2f}%)" if taught is not None else ""
            reporter.say(f"epoch {epoch + 1}/{settings.epochs}: top-1 {top1[-1]:.2f}%{beside}")
    return Distillation(distiller.deployed().eval(), tuple(top1), taught, tuple(log))


def within(method: MethodSettings, epochs: int) -> MethodSettings:
    """The settings with a warm-up of at most a fifth of the epochs: a longer one would hardly let the teacher speak."""
    return with_candidate(method, "warmup", epochs // 5) if getattr(method, "warmup", 0) > epochs // 5 else method


def _top1(network: nn.Module, loader: Loader, parallel: Parallel) -> float:
    """Accuracy in percent; the network is left in eval mode."""
    network.eval()
    right, samples = 0, 0
    with torch.no_grad(), parallel.autocast():
        for images, target in loader:
            choice = network(images.to(parallel.device)).argmax(1)
            right += int((choice == target.to(parallel.device)).sum())
            samples += len(target)
    return 100 * right / samples
