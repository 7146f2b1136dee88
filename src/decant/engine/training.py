"""From a recipe to the objects that train, and their common state."""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn

from decant.data import EpochOrder, PictureSplits, Splits, plain_batches
from decant.engine.across_processes import refuse_undivided, refuse_unsynchronised, shard_distiller, synchronised
from decant.engine.all_processes import AllProcesses
from decant.engine.checkpoint import KEPT_TYPES, random_state, restore_random_state, round_weights
from decant.engine.compiling import compile_distiller
from decant.engine.context import build_context, named_taps, started_network
from decant.engine.distill_step import DistillStep
from decant.engine.distiller import Distiller
from decant.engine.dot import DOT, refuse_one_gradient
from decant.engine.estimate import Estimate, estimate
from decant.engine.evaluate import Score, choices, evaluate
from decant.engine.fit import EpochLog, fit_epoch
from decant.engine.meter import AfterStep, Meter
from decant.engine.multilabel_score import MultilabelScore, evaluate_multilabel
from decant.engine.optim import MovingAverage, make_optimizer
from decant.engine.parallel import Parallel
from decant.engine.places import Places
from decant.engine.probe import probe_of
from decant.engine.progress import Reporter
from decant.engine.record import finished
from decant.engine.supply import Supply
from decant.engine.tabled_teacher import TabledTeacher, open_table
from decant.engine.teacher import Teacher, teacher_folder, untrained
from decant.engine.unfit import refuse_sizes, refuse_unfit
from decant.interfaces import Batch, Method
from decant.models import Folded, fold_batchnorm
from decant.recipe import DOTSettings, Recipe

_FOLD_EXAMPLES = 32
"""Training images on which a folded teacher is compared with the trained one."""

_PREPARED_AT_ONCE = 250
"""Training images in a forward pass of the teacher for a method that asks for all of them."""


@contextmanager
def own_random_state(device: torch.device) -> Iterator[None]:
    """A random state of the run's own, so that neither it nor the caller's disturbs the other."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        yield


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
        ValueError: a batch size that the processes cannot share, or a method without its teacher.
    """

    def __init__(
        self, recipe: Recipe, splits: Splits | PictureSplits, teacher: Teacher | None, parallel: Parallel
    ) -> None:
        settings = recipe.train
        self.recipe, self.parallel, self.train_set = recipe, parallel, splits.train
        self.supply = Supply(recipe, splits, parallel)
        self.judged, self.layout = self.supply.judged, self.supply.layout
        torch.manual_seed(recipe.seed)
        student = started_network(recipe.student, splits.train)
        if settings.sync_batchnorm:
            student = synchronised(student, parallel)
        network = teacher.network if teacher is not None else None
        self._taps = named_taps(recipe, student, network)
        method = recipe.method.build(build_context(student, network, splits.train, self._taps))
        refuse_unfit(recipe, method, len(splits.train.classes))
        self.folded = self._fold(network, method) if network is not None and method.needs_teacher else None
        folded = self.folded.network if self.folded is not None else network
        if parallel.sharded and folded is network:
            folded = copy.deepcopy(network)  # other runs share the teacher, whole
        self.distiller = Distiller(student, folded, method, student_taps=self._taps[0], teacher_taps=self._taps[1])
        self.distiller.to(parallel.device).to(memory_format=self.layout)
        with own_random_state(parallel.device):
            refuse_sizes(recipe, self.distiller, splits.train)
        if parallel.world > 1:
            unlabelled = len(self.supply.labelled) < splits.train.size
            self.distiller.across(AllProcesses(), partly_labelled=unlabelled)
        if settings.sync_batchnorm:
            refuse_unsynchronised(self.distiller, parallel)
        self.average = MovingAverage(self.distiller.copy(), settings.ema) if settings.ema is not None else None
        self._apart = isinstance(settings.optimizer, DOTSettings)
        if parallel.sharded:
            refuse_undivided(settings)
            shard_distiller(self.distiller, parallel, teacher=settings.teacher_cache == "none")
            if self.average is not None:
                shard_distiller(self.average.module, parallel, teacher=False)
        self._module = parallel.prepare(self.distiller, exchange=not self._apart)
        optimizer = make_optimizer(self.distiller, settings, fused=not parallel.sharded)
        self._backward: Callable[..., None] = parallel.backward
        if isinstance(optimizer, DOT):
            refuse_one_gradient(method, recipe.method.name)
            self._backward = partial(optimizer.backward, run=parallel.backward, exchange=parallel.average)
        self._optimizer = parallel.prepare_optimizer(optimizer)
        self._probe = probe_of(recipe, student, self.distiller.student, splits.train, parallel)
        self._compiled_for: int | None = None
        self._teacher = teacher
        self.tabled: TabledTeacher | None = None
        # Also where the method needs none: its agreement with the student is measured.
        if network is not None and not parallel.sharded:
            network.to(parallel.device).to(memory_format=self.layout)

    @property
    def steps(self) -> int:
        """Batches of an epoch on this process."""
        return self.supply.steps

    @property
    def deployed(self) -> nn.Module:
        """The network that is evaluated and saved: the moving average where there is one."""
        return self.distiller.deployed() if self.average is None else self.average.module.deployed()

    @contextmanager
    def table_open(self, places: Places, reporter: Reporter) -> Iterator[None]:
        """Inside, the teacher answers from its table, where the recipe says so and the method has a teacher."""
        teacher, network = self._teacher, self.distiller.teacher
        if self.recipe.train.teacher_cache == "none" or teacher is None or network is None:
            yield
            return
        folded = len(self.folded.layers) if self.folded is not None else 0
        opened = open_table(network, folded, teacher, self.recipe, self.supply, places, self.parallel, reporter)
        with opened as self.tabled:
            try:
                yield
            finally:
                self.tabled = None

    def flush_table(self) -> None:
        """Make what the teacher worked out outlast this process, and learn what it worked out in the others."""
        if self.tabled is None:
            return
        self.tabled.table.flush()
        if self.parallel.world > 1:  # once more, when all have brought theirs
            self.parallel.wait()
            self.tabled.table.flush()

    def orders(self, epochs: Iterable[int]) -> Iterator[EpochOrder]:
        """The samples and views of these epochs on this process."""
        return self.supply.orders(epochs, self.distiller.method)

    def batches(self, epoch: int) -> Iterator[Batch]:
        """The batches of an epoch on this process."""
        return self.supply.batches(next(self.orders([epoch])))

    def prepare(self, *, batches: int | None = None) -> None:
        """Before the first epoch of a new run: let the method see what the teacher says to the training set.

        Args:
            batches: of the training set, where that is only to be tried; None for all.
        """
        images = plain_batches(self.train_set, _PREPARED_AT_ONCE, memory_format=self.layout)
        self.distiller.prepare((batch.images[0], batch.target) for batch in islice(images, batches))

    def compile(self) -> str | None:
        """Compile what is trained, or say why that does not work here; it takes minutes and leaves no trace."""
        if self._apart:
            return "dot goes through a step's graph twice, which compiled code does not keep"
        batch = next(self.batches(0))
        summed = self.recipe.train.accumulate > 1 or self.parallel.world > 1
        if (reason := compile_distiller(self.distiller, batch, self.parallel, cuda_graphs=not summed)) is None:
            self._compiled_for = len(batch.index)
        return reason

    def fit_epoch(
        self, epoch: int, reporter: Reporter, meter: Meter | None = None, after_step: AfterStep = lambda meter: None
    ) -> EpochLog:
        """Train for one epoch, or the rest of one."""
        (order,) = self.orders([epoch])
        start = meter.batches if meter is not None else 0
        outputs = self.tabled.outputs(order, start) if self.tabled is not None else None
        probing = epoch < self.recipe.train.probe_epochs
        if self._probe is not None:
            self._probe.freeze(probing)
        return fit_epoch(
            epoch,
            step=DistillStep(self._module, outputs, self._compiled_for, self._apart, self._probe if probing else None),
            batches=self.supply.batches(order, start),
            steps=self.steps,
            module=self._module,
            optimizer=self._optimizer,
            settings=self.recipe.train,
            parallel=self.parallel,
            backward=self._backward,
            update_average=self._update_average,
            advance=reporter.advance,
            meter=meter,
            after_step=after_step,
        )

    def finish(self) -> None:
        """Make the deployed network what will be kept of it; after the last step."""
        if (kept := KEPT_TYPES[self.recipe.train.weights_type]) is not None:
            round_weights(self.deployed, kept)

    def evaluate(self) -> Score | MultilabelScore:
        """The deployed network on the images it is judged on."""
        self.parallel.share_buffers(self.deployed)  # it is the first process's network that is judged, and saved
        channels_last, choice = self.recipe.train.channels_last, None
        if self.recipe.task == "multilabel":
            return evaluate_multilabel(self.deployed, self.judged, self.parallel, channels_last=channels_last)
        if (teacher := self._teacher) is not None:
            if self.judged.name not in teacher.choices:  # one pass serves all runs that share the teacher
                network = teacher.network.to(self.parallel.device)
                made = choices(network, self.judged, self.parallel, channels_last=channels_last)
                teacher.choices[self.judged.name] = made
                if self.parallel.sharded:  # only its divided copy is needed from now on
                    network.cpu()
            choice = teacher.choices[self.judged.name]
        return evaluate(self.deployed, self.judged, self.parallel, teacher_choice=choice, channels_last=channels_last)

    def teacher_hits(self) -> float | None:
        """Share of the last epoch's rows that the teacher had in its table; None where there is none."""
        if self.tabled is None:
            return None
        met, missed = self.parallel.total(torch.tensor([self.tabled.met, self.tabled.missed]).to(self.parallel.device))
        return 1 - int(missed) / max(int(met), 1)

    @property
    def learning_rate(self) -> float:
        """Of the last optimiser step."""
        return float(self._optimizer.param_groups[0]["lr"])

    def estimate(self, folder: Path, done: int = 0) -> Estimate:
        """What the run will cost after ``done`` epochs; leaves no trace in what is trained."""
        settings, tabled = self.recipe.train, self.tabled
        return estimate(
            self.distiller,
            next(self.batches(done)),
            self.judged,
            self.parallel,
            folder=folder,
            steps=(settings.epochs - done) * self.steps,
            evaluations=-(-(settings.epochs - done) // settings.evaluate_every),
            averaged=self.average is not None,
            apart=self._apart,
            forecast=tabled.forecast(self.orders(range(done, settings.epochs))) if tabled is not None else None,
        )

    def state_dict(self) -> dict[str, Any]:
        """Everything that training changes."""
        scaler, whole = self.parallel.scaler, self.parallel.whole
        return {
            "distiller": whole(self.distiller.state_dict()),
            "optimizer": whole(self._optimizer.state_dict()),
            "scaler": scaler.state_dict() if scaler is not None else None,
            "average": whole(self.average.state_dict()) if self.average is not None else None,
            "random": random_state(self.parallel.device),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up where ``state_dict`` left off."""
        parameters, divided = dict(self.distiller.named_parameters()), self.parallel.divided
        self.distiller.load_state_dict(divided(state["distiller"], parameters))
        learning = [value for group in self._optimizer.param_groups for value in group["params"]]
        momenta = divided(state["optimizer"]["state"], dict(enumerate(learning)))
        self._optimizer.load_state_dict(state["optimizer"] | {"state": momenta})
        if self.parallel.scaler is not None:
            self.parallel.scaler.load_state_dict(state["scaler"])
        if self.average is not None:
            averaged = divided(state["average"]["module"], dict(self.average.module.named_parameters()))
            self.average.load_state_dict(state["average"] | {"module": averaged})
        restore_random_state(state["random"], self.parallel.device)

    def _update_average(self) -> None:
        if self.average is not None:
            self.average.update(self.distiller)

    def _fold(self, teacher: nn.Module, method: Method) -> Folded:
        """The teacher as it teaches: BatchNorms folded, features for the method as they were."""
        taps = {name: path for name, path in self._taps[1].items() if name in method.taps}
        return fold_batchnorm(teacher, next(plain_batches(self.train_set, _FOLD_EXAMPLES)).images[0], taps=taps)


def refuse_early(recipe: Recipe, splits: Splits | PictureSplits, places: Places, parallel: Parallel) -> None:
    """Raise the faults of a recipe that would show only once its teacher is there, which may take hours.

    Raises:
        ValueError: as :class:`Training`.
    """
    Supply(recipe, splits, parallel)
    settings = recipe.teacher
    if settings is None:
        return
    taught = [source.recipe for source in settings.sources if source.recipe is not None]
    if all(finished(teacher_folder(places.teachers, by)) for by in taught):
        return
    with own_random_state(parallel.device):  # an untrained one tells what the method asks of a teacher
        Training(recipe, splits, untrained(settings, splits.train), parallel)
