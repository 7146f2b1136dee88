"""From a recipe to the objects that train, and their common state."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from decant.data import ImageSet, Splits, Views, epoch_batches, plain_batches, steps_per_epoch
from decant.engine.checkpoint import random_state, restore_random_state
from decant.engine.compiling import compile_distiller, compiled_step
from decant.engine.distiller import Distiller
from decant.engine.estimate import Estimate, estimate
from decant.engine.evaluate import Score, choices, evaluate
from decant.engine.fit import EpochLog, fit_epoch
from decant.engine.optim import MovingAverage, make_optimizer
from decant.engine.parallel import Parallel
from decant.engine.progress import Reporter
from decant.engine.shapes import dry_shapes, taps_of
from decant.engine.teacher import Teacher
from decant.interfaces import Batch, BuildContext, Method, Outputs
from decant.models import Folded, Tapped, create, fold_batchnorm
from decant.recipe import Recipe

_FOLD_EXAMPLES = 32
"""Training images on which a folded teacher is compared with the trained one."""


@dataclass(frozen=True)
class DistillStep:
    """The step that distils: a batch through the wrapped :class:`Distiller`.

    Attributes:
        module: the wrapped distiller.
        compiled_for: samples of the batches that it is compiled for; None where it is not compiled.
    """

    module: nn.Module
    compiled_for: int | None = None

    def __call__(self, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The loss and the raw terms."""
        with nullcontext() if self.compiled_for is None else compiled_step(len(batch.index) == self.compiled_for):
            loss, terms, _ = self.module(batch.images, batch.target, index=batch.index, epoch=batch.epoch)
        return loss, terms


@contextmanager
def own_random_state(device: torch.device) -> Iterator[None]:
    """A random state of the run's own, so that neither it nor the caller's disturbs the other."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        yield


class Supply:
    """What a run trains and judges on, made from its recipe.

    Raises:
        ValueError: a batch size that the processes cannot share, views that leave nothing of the images, a split that
            is not there.
    """

    def __init__(self, recipe: Recipe, splits: Splits, parallel: Parallel) -> None:
        world = parallel.world
        if recipe.train.batch_size % world:
            raise ValueError(
                "train.batch_size is over all processes and must divide by their number: "
                f"{recipe.train.batch_size} over {world}"
            )
        self._recipe, self._parallel, self._images = recipe, parallel, splits.train
        self._batch_size = recipe.train.batch_size // world
        self.steps = steps_per_epoch(splits.train.size, self._batch_size, world)
        self.layout = torch.channels_last if recipe.train.channels_last else torch.contiguous_format
        self.judged = _judged(recipe, splits)
        self._views = Views.of(recipe.data, splits.train, seed=recipe.seed, memory_format=self.layout)

    def batches(self, epoch: int, *, views: int) -> Iterator[Batch]:
        """The batches of an epoch on this process."""
        return epoch_batches(
            self._images,
            self._views,
            epoch=epoch,
            seed=self._recipe.seed,
            batch_size=self._batch_size,
            rank=self._parallel.rank,
            world=self._parallel.world,
            views_per_sample=views,
        )


class Training:
    """A run's networks, optimiser and data, made from its recipe; call under :func:`own_random_state`.

    Order matters: the student is initialised first, so that runs of one seed start from one student whatever their
    method; the method is built, from the teacher as it was trained, before anything is folded, moved or wrapped.

    Args:
        recipe: what is trained.
        splits: its data, on the device.
        teacher: its teacher; None where the method needs none.
        parallel: device, precision and processes.

    Raises:
        ValueError: a batch size that the processes cannot share, a method without its teacher, or one that must see
            the batch of all processes where there are several.
    """

    def __init__(self, recipe: Recipe, splits: Splits, teacher: Teacher | None, parallel: Parallel) -> None:
        settings = recipe.train
        self.recipe, self.parallel, self.train_set = recipe, parallel, splits.train
        self.supply = Supply(recipe, splits, parallel)
        self.judged, self.layout = self.supply.judged, self.supply.layout
        channels, classes = splits.train.shape[1], len(splits.train.classes)
        torch.manual_seed(recipe.seed)
        student = create(recipe.student.name, num_classes=classes, in_channels=channels)
        network = teacher.network if teacher is not None else None
        method = recipe.method.build(self._context(student, network))
        if method.gather and parallel.world > 1:
            raise ValueError(
                f"{recipe.method.name} needs the batch of all processes, which is not gathered yet: use one"
            )
        self.folded = self._fold(network, method) if network is not None and method.needs_teacher else None
        self.distiller = Distiller(student, self.folded.network if self.folded is not None else network, method)
        self.distiller.to(parallel.device).to(memory_format=self.layout)
        self.average = MovingAverage(self.distiller.copy(), settings.ema) if settings.ema is not None else None
        self._optimizer = parallel.prepare_optimizer(make_optimizer(self.distiller, settings))
        self._module = parallel.prepare(self.distiller)
        self._compiled_for: int | None = None
        self._teacher = teacher
        if network is not None:  # also where the method needs none: its agreement with the student is measured
            network.to(parallel.device).to(memory_format=self.layout)

    @property
    def steps(self) -> int:
        """Batches of an epoch on this process."""
        return self.supply.steps

    @property
    def deployed(self) -> nn.Module:
        """The network that is evaluated and saved: the moving average where there is one."""
        return self.distiller.deployed() if self.average is None else self.average.module.deployed()

    def batches(self, epoch: int) -> Iterator[Batch]:
        """The batches of an epoch on this process."""
        return self.supply.batches(epoch, views=self.distiller.method.views)

    def compile(self) -> str | None:
        """Compile what is trained, or say why that does not work here; it takes minutes and leaves no trace."""
        batch = next(self.batches(0))
        summed = self.recipe.train.accumulate > 1 or self.parallel.world > 1
        if (reason := compile_distiller(self.distiller, batch, self.parallel, cuda_graphs=not summed)) is None:
            self._compiled_for = len(batch.index)
        return reason

    def fit_epoch(self, epoch: int, reporter: Reporter) -> EpochLog:
        """Train for one epoch."""
        return fit_epoch(
            epoch,
            step=DistillStep(self._module, self._compiled_for),
            batches=self.batches(epoch),
            steps=self.steps,
            module=self._module,
            optimizer=self._optimizer,
            settings=self.recipe.train,
            parallel=self.parallel,
            update_average=self._update_average,
            advance=reporter.advance,
        )

    def evaluate(self) -> Score:
        """The deployed network on the images it is judged on."""
        self.parallel.share_buffers(self.deployed)  # it is the first process's network that is judged, and saved
        channels_last, choice = self.recipe.train.channels_last, None
        if (teacher := self._teacher) is not None:
            if self.judged.name not in teacher.choices:  # one pass serves all runs that share the teacher
                made = choices(teacher.network, self.judged, self.parallel, channels_last=channels_last)
                teacher.choices[self.judged.name] = made
            choice = teacher.choices[self.judged.name]
        return evaluate(self.deployed, self.judged, self.parallel, teacher_choice=choice, channels_last=channels_last)

    @property
    def learning_rate(self) -> float:
        """Of the last optimiser step."""
        return float(self._optimizer.param_groups[0]["lr"])

    def estimate(self, folder: Path, done: int = 0) -> Estimate:
        """What the run will cost after ``done`` epochs; leaves no trace in what is trained."""
        settings = self.recipe.train
        return estimate(
            self.distiller,
            next(self.batches(done)),
            self.judged,
            self.parallel,
            folder=folder,
            steps=(settings.epochs - done) * self.steps,
            evaluations=-(-(settings.epochs - done) // settings.evaluate_every),
            averaged=self.average is not None,
        )

    def state_dict(self) -> dict[str, Any]:
        """Everything that training changes."""
        scaler = self.parallel.scaler
        return {
            "distiller": self.distiller.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "scaler": scaler.state_dict() if scaler is not None else None,
            "average": self.average.state_dict() if self.average is not None else None,
            "random": random_state(self.parallel.device),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up where ``state_dict`` left off."""
        self.distiller.load_state_dict(state["distiller"])
        self._optimizer.load_state_dict(state["optimizer"])
        if self.parallel.scaler is not None:
            self.parallel.scaler.load_state_dict(state["scaler"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        restore_random_state(state["random"], self.parallel.device)

    def _update_average(self) -> None:
        if self.average is not None:
            self.average.update(self.distiller)

    def _fold(self, teacher: nn.Module, method: Method) -> Folded:
        """The teacher as it teaches: BatchNorms folded, features for the method as they were."""
        example = next(plain_batches(self.train_set, _FOLD_EXAMPLES)).images[0]
        taps = taps_of(teacher)
        return fold_batchnorm(teacher, example, taps={name: taps[name] for name in method.taps if name in taps})

    def _context(self, student: nn.Module, teacher: nn.Module | None) -> BuildContext:
        example = next(plain_batches(self.train_set, 2)).images[0].cpu()

        def teacher_outputs() -> Iterator[tuple[Outputs, Batch]]:
            if teacher is None:
                raise ValueError("a method asked for the teacher's outputs, but the recipe has no teacher")
            tapped = Tapped(teacher.to(self.parallel.device), taps_of(teacher))
            with torch.no_grad():
                for batch in plain_batches(self.train_set, 500):
                    yield tapped(batch.images[0]), batch

        return BuildContext(
            student=student,
            teacher=teacher,
            student_shapes=dry_shapes(student, example, taps_of(student)),
            teacher_shapes=dry_shapes(teacher, example, taps_of(teacher)) if teacher is not None else None,
            teacher_taps=taps_of(teacher),
            facts=self.train_set.facts(),
            teacher_outputs=teacher_outputs,
        )


def _judged(recipe: Recipe, splits: Splits) -> ImageSet:
    if recipe.judged_on == "test":
        return splits.test
    if splits.validation is None:
        raise ValueError('judged_on = "validation" needs data.validation above 0')
    return splits.validation
