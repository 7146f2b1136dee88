"""The training loop with its data: CIFAR-100 from storage to optimiser step."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain, count, islice
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from benchmarks.options import Options
from benchmarks.reference import Reference
from benchmarks.step import EPOCH, SETTINGS, reference_optimizer, with_statistics
from benchmarks.timing import Contest, Row
from decant.data import Splits, load, plain_batches
from decant.engine.fit import fit_epoch
from decant.engine.optim import make_optimizer
from decant.engine.parallel import Parallel
from decant.engine.teacher import Teacher
from decant.engine.training import DistillStep, Training
from decant.interfaces import MethodSettings
from decant.methods import DKDSettings, SupervisedSettings
from decant.models import create
from decant.recipe import NetworkSettings, Recipe, TeacherSettings

_WORKERS = 2
"""Loading processes of the reference, as its settings have it."""


def contests(options: Options) -> Iterator[Contest]:
    """A contest per pair of networks; none without the folder of CIFAR-100."""
    if options.data.name != "fake" and options.folder is None:
        return
    parallel = Parallel()
    splits = load(options.data, root=options.folder, device=parallel.device)
    for names in options.pairs:
        yield _contest(names, splits, parallel, options)


def _contest(names: tuple[str, str], splits: Splits, parallel: Parallel, options: Options) -> Contest:
    torch.manual_seed(0)
    images = next(plain_batches(splits.train, options.batch_size)).images[0]
    classes = len(splits.train.classes)
    network = with_statistics(create(names[0], num_classes=classes).to(parallel.device), images)
    teacher = Teacher(network, names[0], "untrained", top1=None)
    settings = replace(SETTINGS, batch_size=options.batch_size)

    def ours(method: MethodSettings, *, compiled: bool = False) -> Callable[[int], object]:
        recipe = Recipe(
            student=NetworkSettings(names[1]),
            data=options.data,
            teacher=TeacherSettings(name=names[0], weights="untrained"),
            method=method,
            train=settings,
        )
        training = Training(recipe, splits, teacher, parallel)
        if compiled and (reason := training.compile()) is not None:
            raise RuntimeError(f"nothing can be compiled here ({reason}); give --no-compile")
        return _steps(training, parallel, compiled_for=options.batch_size if compiled else None)

    rows = [
        Row("teacher live", ours(DKDSettings())),
        Row("student alone", ours(SupervisedSettings())),
    ]
    if options.compiled:
        rows += [
            Row("teacher live, compiled", ours(DKDSettings(), compiled=True)),
            Row("student alone, compiled", ours(SupervisedSettings(), compiled=True)),
        ]
    if (reference := options.reference) is not None and options.folder is not None:
        student, teaching = (reference.network(name).to(parallel.device) for name in reversed(names))
        distiller = reference.dkd(student, with_statistics(teaching, images))
        loader = DataLoader(
            reference.cifar100(options.folder), batch_size=options.batch_size, shuffle=True, num_workers=_WORKERS
        )
        rows = [Row("reference: DKD", _reference_steps(reference, distiller, loader, parallel)), *rows]
    return Contest(f"{names[0]} -> {names[1]}, batch {options.batch_size}, with data", tuple(rows))


def _steps(training: Training, parallel: Parallel, *, compiled_for: int | None) -> Callable[[int], object]:
    """So many steps of a run; the next call goes on where this one stopped."""
    module = training.distiller
    optimizer = parallel.prepare_optimizer(make_optimizer(module, training.recipe.train))
    batches = chain.from_iterable(training.batches(epoch) for epoch in count())

    def work(times: int) -> object:
        return fit_epoch(
            0,
            step=DistillStep(module, compiled_for=compiled_for),
            batches=islice(batches, times),
            steps=times,
            module=module,
            optimizer=optimizer,
            settings=training.recipe.train,
            parallel=parallel,
        )

    return work


def _reference_steps(
    reference: Reference, distiller: nn.Module, loader: DataLoader[Any], parallel: Parallel
) -> Callable[[int], object]:
    """So many steps as the reference's trainer makes them, bookkeeping included; its progress bar is left out."""
    optimizer = reference_optimizer(distiller)
    batches = chain.from_iterable(loader for _ in count())
    loss_meter, first, fifth = (reference.bookkeeping.AverageMeter() for _ in range(3))

    def work(times: int) -> None:
        for images, target, _ in islice(batches, times):
            optimizer.zero_grad()
            images, target = (tensor.to(parallel.device, non_blocking=True) for tensor in (images.float(), target))
            logits, losses = distiller(image=images, target=target, epoch=EPOCH)
            loss = sum(term.mean() for term in losses.values())
            loss.backward()
            optimizer.step()
            top1, top5 = reference.bookkeeping.accuracy(logits, target, topk=(1, 5))
            loss_meter.update(loss.cpu().detach().numpy().mean(), len(images))
            first.update(top1[0], len(images))
            fifth.update(top5[0], len(images))

    return work
