"""One training step: teacher, student, loss, gradients, optimiser; no data loading."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from itertools import repeat
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.options import Options
from benchmarks.reference import Reference
from benchmarks.timing import Contest, Row
from decant import Distiller
from decant.engine.compiling import compile_distiller, compiled_step
from decant.engine.fit import fit_epoch
from decant.engine.optim import make_optimizer
from decant.engine.parallel import Parallel
from decant.interfaces import Batch, Outputs
from decant.methods import DKDSettings
from decant.models import create, fold_batchnorm
from decant.recipe import MultiStep, TrainSettings

# Small, because the same batch is met again and again; the arithmetic is that of any learning rate.
SETTINGS = TrainSettings(learning_rate=1e-4, schedule=MultiStep())
EPOCH = 20.0
"""After the warm-up, so that all terms count."""


def contests(options: Options) -> Iterator[Contest]:
    """A contest per pair of networks."""
    parallel = options.parallel()
    images = made_up_images(options, parallel)
    target = torch.randint(100, (len(images),), generator=torch.Generator().manual_seed(0)).to(parallel.device)
    for names in options.pairs:
        yield _contest(names, images, target, parallel, options)


def made_up_images(options: Options, parallel: Parallel) -> Tensor:
    """A batch of noise: what the arithmetic is done on does not change how long it takes."""
    shape = (options.batch_size, 3, options.pixels, options.pixels)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(parallel.device)


def _contest(names: tuple[str, str], images: Tensor, target: Tensor, parallel: Parallel, options: Options) -> Contest:
    torch.manual_seed(0)
    teacher = with_statistics(create(names[0]).to(parallel.device), images)
    folded = fold_batchnorm(teacher, images[:8]).network
    alone, live = _operations(names, images, target)
    layout = torch.channels_last
    batch = Batch((images.contiguous(memory_format=layout),), target, torch.arange(len(images)), EPOCH)
    with torch.no_grad():
        known = Outputs(teacher(images))

    def ours(
        teacher: nn.Module | None, *, given: Outputs | None = None, compiled: bool = False, cuda_graphs: bool = True
    ) -> Callable[[int], object]:
        method = "supervised" if teacher is None else DKDSettings()
        distiller = Distiller(create(names[1]), teacher, method)
        distiller.to(parallel.device).to(memory_format=layout)
        return steps(distiller, batch, parallel, given=given, compiled=compiled, cuda_graphs=cuda_graphs)

    rows = [
        Row("teacher live, not folded", ours(teacher), live),
        Row("teacher live", ours(folded), live),
        Row("teacher's logits given", ours(folded, given=known), alone),
        Row("student alone", ours(None), alone),
    ]
    if options.compiled:
        rows += [
            Row("teacher live, compiled", ours(folded, compiled=True), live),
            Row("teacher's logits given, compiled", ours(folded, given=known, compiled=True), alone),
            Row("student alone, compiled", ours(None, compiled=True), alone),
        ]
        if parallel.device.type == "cuda":  # what the graphs are worth
            rows.append(Row("teacher live, compiled, no graph", ours(folded, compiled=True, cuda_graphs=False), live))
    rows.append(matrix_product(options.matrix, parallel))
    if options.reference is not None:
        rows = [*_reference_rows(options.reference, names, images, target, (alone, live)), *rows]
    return Contest(f"{names[0]} -> {names[1]}, batch {len(images)}", tuple(rows), peak=rows[-1].name)


def steps(
    distiller: Distiller,
    batch: Batch,
    parallel: Parallel,
    *,
    given: Outputs | None = None,
    compiled: bool = False,
    cuda_graphs: bool = True,
) -> Callable[[int], object]:
    """So many steps of the training loop on one batch; what the teacher says about it may be ``given``."""
    if compiled and (reason := compile_distiller(distiller, batch, parallel, cuda_graphs=cuda_graphs)) is not None:
        raise RuntimeError(f"nothing can be compiled here ({reason}); give --no-compile")
    module = parallel.prepare(distiller)
    optimizer = parallel.prepare_optimizer(make_optimizer(distiller, SETTINGS))

    def step(batch: Batch) -> tuple[tuple[Tensor, ...], Mapping[str, Tensor]]:
        with compiled_step(full=True) if compiled else nullcontext():
            loss, terms, _ = distiller(
                batch.images, batch.target, index=batch.index, epoch=EPOCH, teacher_outputs=given
            )
        return (loss,), terms

    def work(times: int) -> object:
        return fit_epoch(
            0,
            step=step,
            batches=repeat(batch, times),
            steps=times,
            module=module,
            optimizer=optimizer,
            settings=SETTINGS,
            parallel=parallel,
        )

    return work


def matrix_product(side: int, parallel: Parallel) -> Row:
    """The fastest arithmetic that the machine has in this type: a large matrix product."""
    left, right, out = (torch.randn(side, side, device=parallel.device) for _ in range(3))

    def work(times: int) -> None:
        for _ in range(times):
            torch.mm(left, right, out=out)

    return Row(f"floor: product of {side} x {side} matrices", work, 2 * side**3)


def _reference_rows(
    reference: Reference, names: tuple[str, str], images: Tensor, target: Tensor, operations: tuple[int, int]
) -> list[Row]:
    teacher = with_statistics(reference.network(names[0]).to(images.device), images)
    made = {
        "reference: DKD": reference.dkd(reference.network(names[1]), teacher),
        "reference: student alone": reference.supervised(reference.network(names[1])),
    }
    alone, live = operations
    return [
        Row(name, reference_steps(distiller.to(images.device), images, target), live if "DKD" in name else alone)
        for name, distiller in made.items()
    ]


def reference_steps(distiller: Any, images: Tensor, target: Tensor, **more: Tensor) -> Callable[[int], object]:
    """So many steps as the reference's trainer makes them, without its bookkeeping; ``more`` is what a method asks."""
    optimizer = reference_optimizer(distiller)

    def work(times: int) -> None:
        for _ in range(times):
            optimizer.zero_grad()
            _, losses = distiller(image=images, target=target, epoch=EPOCH, **more)
            sum(loss.mean() for loss in losses.values()).backward()
            optimizer.step()

    return work


def reference_optimizer(distiller: Any) -> torch.optim.Optimizer:
    """SGD as the reference's trainer sets it up."""
    return torch.optim.SGD(
        distiller.get_learnable_parameters(),
        lr=SETTINGS.learning_rate,
        momentum=SETTINGS.momentum,
        weight_decay=SETTINGS.weight_decay,
    )


def _operations(names: tuple[str, str], images: Tensor, target: Tensor) -> tuple[int, int]:
    """Floating-point operations of a step without a teacher and with one."""
    student, teacher = create(names[1]).to(images.device), create(names[0]).to(images.device).eval()
    with FlopCounterMode(display=False) as counted:
        nn.functional.cross_entropy(student(images), target).backward()
    alone = counted.get_total_flops()
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        teacher(images)
    return alone, alone + counted.get_total_flops()


def with_statistics(network: nn.Module, images: Tensor) -> nn.Module:
    """The network in eval mode with BatchNorm statistics of these images, so that its activations are of usual size."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network.train()(images)
    return network.eval().requires_grad_(False)
