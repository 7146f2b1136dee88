"""Filling the table of a teacher's logits ahead of the runs that will use it."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from decant.engine.estimate import duration, size
from decant.engine.parallel import Parallel
from decant.engine.places import Places
from decant.engine.progress import Reporter
from decant.engine.run import find_teacher, load_data
from decant.engine.training import Training, own_random_state, refuse_early
from decant.methods import SupervisedSettings
from decant.recipe import Recipe

_SECONDS_BETWEEN_FLUSHES = 30.0
"""What a kill may cost."""


@dataclass(frozen=True)
class Filled:
    """A table, and what filling it ahead came to.

    Attributes:
        folder: where it is.
        worked_out: entries that were added now, by this process.
        share: how much of the table is filled, 0 to 1.
    """

    folder: Path
    worked_out: int
    share: float


def fill_table(
    recipe: Recipe,
    places: Places,
    *,
    epochs: int | None = None,
    all_views: bool = False,
    reporter: Reporter | None = None,
) -> Filled:
    """Work out the teacher's logits for what a recipe will meet, and keep them.

    What is there already is not worked out again, so an interrupted call goes on, and loses at most half a minute.

    Args:
        recipe: as it will be trained; ``train.teacher_cache`` need not be set in it.
        places: teachers, data and device on this machine.
        epochs: of the recipe's seed, from its first; None for as many as the recipe has.
        all_views: every view of every image instead.
        reporter: where to say what is going on.

    Raises:
        ValueError: a recipe whose method runs no teacher, or learns from its features; a number of epochs below 1.
        FileExistsError, OSError: as :class:`decant.engine.teacher_table.TeacherTable`.
    """
    if epochs is not None and epochs < 1:
        raise ValueError(f"epochs is at least 1, got {epochs}")
    recipe = replace(recipe, train=replace(recipe.train, teacher_cache="views"))
    parallel = Parallel(device=places.device, precision=recipe.train.precision)
    reporter = reporter if reporter is not None and parallel.main else Reporter()
    if isinstance(recipe.method, SupervisedSettings):  # before its teacher is trained
        raise ValueError(f"method {recipe.method.name} runs no teacher: there is nothing to keep for it")
    splits = load_data(recipe, places, reporter)
    refuse_early(recipe, splits, places, parallel)
    teacher = find_teacher(recipe, splits, places, reporter=reporter)
    parallel = Parallel(device=places.device, precision=recipe.train.precision)
    with own_random_state(parallel.device):
        training = Training(recipe, splits, teacher, parallel)
        with training.table_open(places, reporter):
            if (tabled := training.tabled) is None:
                raise ValueError(f"method {recipe.method.name} runs no teacher: there is nothing to keep for it")
            if all_views:
                lacking = (~tabled.table.has(torch.arange(tabled.table.key.entries))).nonzero().flatten()
                lacking = lacking[parallel.rank :: parallel.world]
            else:
                lacking = tabled.needs(training.orders(range(epochs or recipe.train.epochs)))[1]
            batches = lacking.split(tabled.table.key.rows) if len(lacking) else ()
            reporter.say(
                f"{tabled.table.folder}: {len(lacking):,} rows to work out, about "
                f"{duration(len(lacking) * tabled.seconds_per_row())}; {size(tabled.table.key.bytes)} once it is full"
            )
            flushed = time.monotonic()
            with reporter.working(f"{tabled.table.folder.name}", len(batches)):
                for batch in batches:
                    tabled.work_out(batch)
                    reporter.advance()
                    if time.monotonic() - flushed > _SECONDS_BETWEEN_FLUSHES:
                        tabled.table.flush()
                        flushed = time.monotonic()
            training.flush_table()
            return Filled(tabled.table.folder, len(lacking), tabled.table.share)
