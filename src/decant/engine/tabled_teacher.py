"""A teacher that works once: it answers from a table, and is run for what is not in there yet."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from decant.data import EpochOrder, ImageSet, Views
from decant.engine.environment import describe_environment
from decant.engine.estimate import Forecast, seconds_of
from decant.engine.parallel import Parallel
from decant.engine.places import Places
from decant.engine.progress import Reporter
from decant.engine.supply import Supply
from decant.engine.table_key import TableKey
from decant.engine.teacher import Teacher
from decant.engine.teacher_table import TeacherTable
from decant.interfaces import UNLABELLED, Method, Outputs
from decant.methods import ComposedSettings, SupervisedSettings
from decant.recipe import Recipe

ROWS = 64
"""Images in each of the teacher's forward passes. Always so many: then a row's logits do not depend on what else was
missing. More would not be faster on a CPU, and a part of the last pass of an epoch is wasted."""
_ROUNDING = 0.05
"""Relative deviation of logits that another machine or precision may cause; another teacher's is around 1."""


def teacher_logits(network: nn.Module, parallel: Parallel) -> Callable[[Tensor], Tensor]:
    """The forward pass with which tables are filled: images (N, channels, H, W) -> logits (N, classes)."""

    def forward(images: Tensor) -> Tensor:
        network.eval()
        with torch.no_grad(), parallel.autocast():
            logits: Tensor = network(images)
        return logits

    return forward


def refuse_unserved(method: Method, name: str) -> None:
    """Raise ValueError for a method that a table of logits does not serve."""
    if method.needs_teacher and method.taps:
        raise ValueError(
            f"method {name} learns from features ({', '.join(method.taps)}); a table of logits does not serve it: "
            'train.teacher_cache = "none" is for it'
        )
    if method.needs_teacher and method.strong_views:
        raise ValueError(
            f"method {name} shows its teacher strong views, of which an image has too many to keep the answers in a "
            'table: train.teacher_cache = "none" is for it'
        )


def refuse_top(recipe: Recipe, classes: int) -> None:
    """Raise ValueError where entries would keep all classes, or the mass of the rest at another temperature."""
    top, kept = recipe.train.teacher_cache_top, recipe.train.teacher_cache_temperature
    if top is None:
        return
    if top >= classes:
        raise ValueError(
            f"train.teacher_cache_top = {top} leaves out none of {classes} classes; leave the setting out to keep all"
        )
    parts = recipe.method.parts if isinstance(recipe.method, ComposedSettings) else (recipe.method,)
    for part in parts:
        if isinstance(part, SupervisedSettings) or (temperature := getattr(part, "temperature", None)) == kept:
            continue
        where = "method" if len(parts) == 1 else f"method.{parts.index(part)}"
        has = (
            f"{where}.temperature = {temperature}; make them equal"
            if temperature is not None
            else (f"{part.name} has no temperature that stays the same; keep all logits for it")
        )
        raise ValueError(
            f"train.teacher_cache_temperature = {kept} is where the largest logits keep their probabilities, but {has}"
        )


@contextmanager
def open_table(
    network: nn.Module,
    folded: int,
    teacher: Teacher,
    recipe: Recipe,
    supply: Supply,
    places: Places,
    parallel: Parallel,
    reporter: Reporter,
) -> Iterator["TabledTeacher"]:
    """The teacher with the table that belongs to this recipe; flushed at the end.

    Args:
        network: what is run for what the table lacks; it says the same as ``teacher.network``, up to rounding.
        folded: how many of its BatchNorms are folded.
        teacher: what the table is known by.
        recipe: says how it is run, and in which type its logits are kept.
        supply: the training set and its views.
        places: where tables are.
        parallel: device and precision.
        reporter: told before a table is made.

    Raises:
        FileExistsError, ValueError, OSError: as :class:`TeacherTable` and :class:`TabledTeacher`.
    """
    images, views, environment = supply.images, supply.views, describe_environment(parallel)
    if not isinstance(images, ImageSet) or not isinstance(views, Views):
        raise ValueError(f"{images.name}: random windows of pictures are never met twice; a table is of no use to them")
    key = TableKey(
        teacher=teacher.name,
        sha256=teacher.sha256,
        folded=folded,
        data=images.fingerprint(),
        samples=images.size,
        image=images.shape[1:],
        padding=views.padding,
        flip=views.flip,
        mean=images.mean,
        std=images.std,
        views=views.count,
        classes=len(images.classes),
        type=recipe.train.teacher_cache_type,
        top=recipe.train.teacher_cache_top,
        temperature=recipe.train.teacher_cache_temperature if recipe.train.teacher_cache_top is not None else None,
        precision=recipe.train.precision,
        channels_last=recipe.train.channels_last,
        rows=ROWS,
    )
    with TeacherTable(
        places.tables / key.folder_name,
        key,
        device=parallel.device,
        on_device=places.table_on_device,
        # What rounding may depend on; the rest of the environment says nothing about an entry.
        environment={
            "torch": environment["packages"]["torch"],
            **{name: environment[name] for name in ("device", "threads")},
        },
        say=reporter.say,
    ) as table:
        yield TabledTeacher(table, teacher_logits(network, parallel), images, views)


class TabledTeacher:
    """The teacher's answers to the views of a training set.

    What is missing is known for a whole epoch ahead, so it is worked out in full batches of ``table.key.rows`` in the
    order of need: a batch holds what this step misses, and what the next ones will.

    Args:
        table: where the logits are kept.
        forward: the teacher, see :func:`teacher_logits`.
        images: the training set, on the device.
        views: its views.

    Raises:
        ValueError: the table's entries are not what this teacher says.
    """

    def __init__(
        self, table: TeacherTable, forward: Callable[[Tensor], Tensor], images: ImageSet, views: Views
    ) -> None:
        self.table, self._forward, self._images, self._views = table, forward, images, views
        self.met, self.missed = 0, 0
        self._check()

    def outputs(self, order: EpochOrder, start: int = 0) -> Iterator[Outputs]:
        """What the teacher says to an epoch's batches from ``start`` on; ``met`` and ``missed`` are of these."""
        wanted = self._entries(order)
        to_come = wanted[order.part(start).start :]
        batches = iter(self._missing(to_come.flatten()).split(self.table.key.rows))
        self.met, self.missed = to_come.numel(), 0
        for step in range(start, order.steps):
            part = wanted[order.part(step)]
            while not self.table.has(part.flatten()).all():
                self.missed += self.work_out(next(batches))
            first, *more = (Outputs(self.table.get(entries)) for entries in part.unbind(1))
            yield Outputs(first.logits, more=tuple(more))

    def needs(self, orders: Iterable[EpochOrder]) -> tuple[int, Tensor]:
        """How many rows these epochs need, and the entries that the table lacks for them: each once, rising."""
        rows, needed = 0, torch.zeros(self.table.key.entries, dtype=torch.bool)
        for order in orders:
            entries = self._entries(order)
            rows += entries.numel()
            needed[entries] = True
        needed[self.table.filled()] = False
        return rows, needed.nonzero().flatten()

    def forecast(self, orders: Iterable[EpochOrder]) -> Forecast:
        """What these epochs will find in the table, and how long the teacher will take for the rest."""
        rows, lacking = self.needs(orders)
        return Forecast(
            rows=rows,
            lacking=lacking,
            seconds_per_row=self.seconds_per_row(),
            where=self.table.folder,
            bytes=self.table.key.bytes,
            filled=self.table.share,
            elsewhere=self.table.elsewhere,
        )

    def seconds_per_row(self) -> float:
        """The teacher's, in a full batch."""
        batch = torch.arange(min(self.table.key.rows, self.table.key.entries))
        self.live(batch)  # the first pass allocates and picks algorithms
        return seconds_of(lambda: self.live(batch), 1) / len(batch)

    def work_out(self, entries: Tensor) -> int:
        """Run the teacher for at most ``table.key.rows`` entries and keep them; how many they were."""
        logits = self.live(entries)
        self.table.put(entries, logits, self._targets(entries, logits))
        return len(entries)

    def live(self, entries: Tensor) -> Tensor:
        """The teacher's own logits for entries (N,), N at most ``table.key.rows``, past the table."""
        padded = torch.cat([entries, entries[-1:].expand(self.table.key.rows - len(entries))]).to(self._images.device)
        samples, view_ids = padded // self.table.key.views, padded % self.table.key.views
        images = self._views.render(self._images.images.index_select(0, samples), view_ids)
        return self._forward(images)[: len(entries)]

    def _entries(self, order: EpochOrder) -> Tensor:
        """Entry numbers of an epoch, (samples, views of a sample)."""
        return torch.stack([self.table.entries(order.index, view_ids) for view_ids in order.view_ids], 1)

    def _targets(self, entries: Tensor, logits: Tensor) -> Tensor:
        """The class of each entry's sample: its label, or else the arg-max of the teacher's ``logits`` (N, C)."""
        target = self._images.target[(entries // self.table.key.views).to(self._images.device)]
        return torch.where(target == UNLABELLED, logits.argmax(1), target)

    def _missing(self, entries: Tensor) -> Tensor:
        """Those which the table lacks, in the same order, each once."""
        lacking = entries[~self.table.has(entries)]
        first = np.unique(lacking.numpy(), return_index=True)[1]
        return lacking[torch.from_numpy(np.sort(first))]

    def _check(self) -> None:
        """Hold a few entries from all over the table against the teacher.

        The key cannot tell that the code of a network changed, or that the disk forgot.
        """
        filled = self.table.filled()
        if not len(filled):
            return
        count = min(self.table.key.rows, len(filled))
        some = filled[torch.linspace(0, len(filled) - 1, count, dtype=torch.float64).long()]
        logits = self.live(some)
        live = self.table.key.entry.unpack(self.table.key.entry.pack(logits, self._targets(some, logits)))
        deviation, scale = float((self.table.get(some) - live).norm()), float(live.norm())
        if not deviation <= _ROUNDING * scale:
            raise ValueError(
                f"{self.table.folder} is not of this teacher: entries of size {scale:.3g} differ by {deviation:.3g} "
                "from what it says now; the code that runs it has changed, or the file is damaged: remove the folder, "
                "it is filled again"
            )
