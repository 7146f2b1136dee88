"""The training loop with its data: CIFAR-100 from storage to optimiser step."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain, count, islice, repeat, tee
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from benchmarks.first_run import EMPTY, FULL
from benchmarks.options import Options
from benchmarks.reference import Reference
from benchmarks.step import EPOCH, SETTINGS, reference_optimizer, with_statistics
from benchmarks.timing import Contest, Row
from decant.data import EpochOrder, Splits, load, plain_batches
from decant.engine.distill_step import DistillStep
from decant.engine.fit import fit_epoch
from decant.engine.optim import make_optimizer
from decant.engine.parallel import Parallel
from decant.engine.places import Places
from decant.engine.progress import Reporter
from decant.engine.teacher import Teacher
from decant.engine.training import Training
from decant.interfaces import MethodSettings
from decant.methods import DKDSettings, SupervisedSettings
from decant.models import create
from decant.recipe import NetworkSettings, Recipe, TeacherSettings

_WORKERS = 2
"""Loading processes of the reference, as its settings have it."""
_STRETCH = 32
"""Batches whose views are put into the table that is called full: to fill all of it takes hours on a CPU."""


def contests(options: Options) -> Iterator[Contest]:
    """A contest per pair of networks; none without the folder of CIFAR-100."""
    if options.data.name != "fake" and options.folder is None:
        return
    parallel = options.parallel()
    splits = load(options.data, root=options.folder, device=parallel.device)
    for names in options.pairs:
        with ExitStack() as tables:
            yield _contest(names, splits, parallel, options, tables)


def _contest(
    names: tuple[str, str], splits: Splits, parallel: Parallel, options: Options, tables: ExitStack
) -> Contest:
    torch.manual_seed(0)
    images = next(plain_batches(splits.train, options.batch_size)).images[0]
    classes = len(splits.train.classes)
    network = with_statistics(create(names[0], num_classes=classes).to(parallel.device), images)
    teacher = Teacher(network, names[0], "untrained", top1=None)
    settings = replace(SETTINGS, batch_size=options.batch_size)

    def ours(method: MethodSettings, *, table: str = "none", compiled: bool = False) -> Callable[[int], object]:
        recipe = Recipe(
            student=NetworkSettings(names[1]),
            data=options.data,
            teacher=TeacherSettings(name=names[0], weights="untrained"),
            method=method,
            train=settings if table == "none" else replace(settings, teacher_cache="views"),
        )
        training = Training(recipe, splits, teacher, parallel)
        if compiled and (reason := training.compile()) is not None:
            raise RuntimeError(f"nothing can be compiled here ({reason}); give --no-compile")
        places = Places(
            Path(tables.enter_context(TemporaryDirectory())), table_on_device=parallel.device.type == "cuda"
        )
        tables.enter_context(training.table_open(places, Reporter()))
        compiled_for = options.batch_size if compiled else None
        if table == "full":
            return _from_a_full_table(training, parallel, compiled_for)
        orders = (order for epoch in count() for order in training.orders([epoch]))
        return _steps(training, parallel, orders, compiled_for)

    dkd, alone = DKDSettings(), SupervisedSettings()
    rows = [
        Row(name + suffix, ours(method, table=table, compiled=compiled))
        for compiled, suffix in ((False, ""), (True, ", compiled"))[: 1 + options.compiled]
        for name, method, table in (
            ("teacher live", dkd, "none"),
            (EMPTY, dkd, "empty"),
            (FULL, dkd, "full"),
            ("student alone", alone, "none"),
        )
    ]
    if (reference := options.reference) is not None and options.folder is not None:
        student, teaching = (reference.network(name).to(parallel.device) for name in reversed(names))
        distiller = reference.dkd(student, with_statistics(teaching, images))
        loader = DataLoader(
            reference.cifar100(options.folder), batch_size=options.batch_size, shuffle=True, num_workers=_WORKERS
        )
        rows = [Row("reference: DKD", _reference_steps(reference, distiller, loader, parallel)), *rows]
    return Contest(f"{names[0]} -> {names[1]}, batch {options.batch_size}, with data", tuple(rows))


def _from_a_full_table(training: Training, parallel: Parallel, compiled_for: int | None) -> Callable[[int], object]:
    """Steps whose views are all in the table: a stretch of an epoch, filled here, and gone round again and again."""
    (order,) = training.orders([0])
    steps = min(_STRETCH, order.steps)
    end = order.part(steps - 1).stop
    stretch = replace(order, steps=steps, index=order.index[:end], view_ids=tuple(ids[:end] for ids in order.view_ids))
    tabled = training.tabled
    assert tabled is not None
    deque(tabled.outputs(stretch), maxlen=0)
    run = _steps(training, parallel, repeat(stretch), compiled_for)

    def work(times: int) -> None:
        run(times)
        if tabled.missed:
            raise RuntimeError(f"the table that is said to be full lacked {tabled.missed} rows")

    return work


def _steps(
    training: Training, parallel: Parallel, orders: Iterable[EpochOrder], compiled_for: int | None
) -> Callable[[int], object]:
    """So many steps of a run; the next call goes on where this one stopped."""
    module, tabled = training.distiller, training.tabled
    optimizer = parallel.prepare_optimizer(make_optimizer(module, training.recipe.train))
    # Twice the same orders, one for the batches and one for the teacher, each worked out when it is come to.
    own, teachers = tee(orders)
    batches = chain.from_iterable(map(training.supply.batches, own))
    outputs = chain.from_iterable(map(tabled.outputs, teachers)) if tabled is not None else None

    def work(times: int) -> object:
        return fit_epoch(
            0,
            step=DistillStep(module, outputs, compiled_for=compiled_for),
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
