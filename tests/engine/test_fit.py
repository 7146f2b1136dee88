import math
from collections.abc import Mapping

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from decant.engine.fit import NonFiniteLossError, Step, fit_epoch
from decant.engine.optim import learning_rate_factor
from decant.interfaces import Batch
from decant.recipe import MultiStep, OneCycle, TrainSettings
from engine.tiny import on_cpu

SIZES = (4, 4, 4, 4, 4, 4, 2)
"""Seven batches: with groups of three or two, the last group is a single batch."""


def linear() -> nn.Linear:
    module = nn.Linear(5, 3).double()
    with torch.no_grad():
        module.weight.copy_(torch.linspace(-1, 1, 15).view(3, 5))
        module.bias.zero_()
    return module


def batches(sizes: tuple[int, ...] = SIZES) -> list[Batch]:
    generator = torch.Generator().manual_seed(0)
    return [
        Batch((torch.randn(n, 5, generator=generator, dtype=torch.float64),), torch.arange(n) % 3, torch.arange(n))
        for n in sizes
    ]


def stepping(module: nn.Module) -> Step[Batch]:
    def step(batch: Batch) -> tuple[tuple[Tensor, ...], Mapping[str, Tensor]]:
        assert batch.target is not None
        hard = F.cross_entropy(module(batch.images[0]), batch.target)
        return (hard,), {"hard": hard, "twice": 2 * hard}

    return step


def run(
    settings: TrainSettings, module: nn.Module, given: list[Batch], *, epoch: int = 0
) -> tuple[int, dict[str, float]]:
    """Number of optimiser steps, and what was logged."""
    parallel = on_cpu()
    optimizer = torch.optim.SGD(module.parameters(), lr=99.0, momentum=settings.momentum)
    made: list[None] = []
    log = fit_epoch(
        epoch,
        step=stepping(module),
        batches=given,
        steps=len(given),
        module=module,
        optimizer=parallel.prepare_optimizer(optimizer),
        settings=settings,
        parallel=parallel,
        update_average=lambda: made.append(None),
    )
    return len(made), {"loss": log.loss, **log.terms}


@pytest.mark.parametrize("accumulate", [1, 2, 3, 7, 100])
def test_gradients_are_averaged_over_a_group_and_the_tail_makes_a_step(accumulate: int) -> None:
    settings = TrainSettings(epochs=4, accumulate=accumulate, learning_rate=0.2, schedule=OneCycle())
    module, by_hand = linear(), linear()
    steps, _ = run(settings, module, batches(), epoch=1)
    optimizer = torch.optim.SGD(by_hand.parameters(), momentum=0.9)
    given = batches()
    groups = [given[first : first + accumulate] for first in range(0, len(given), accumulate)]
    for number, group in enumerate(groups):
        optimizer.zero_grad()
        mean = torch.stack([stepping(by_hand)(batch)[0][0] for batch in group]).mean()
        torch.autograd.backward(mean)
        factor = learning_rate_factor(settings.schedule, 1 + number * accumulate / len(given), 4)
        optimizer.param_groups[0]["lr"] = 0.2 * factor
        optimizer.step()
    assert steps == len(groups)
    torch.testing.assert_close(module.weight, by_hand.weight)


def test_two_small_batches_together_are_one_large_one() -> None:
    settings = TrainSettings(epochs=1, learning_rate=0.2, schedule=OneCycle())
    large = batches((8, 8))
    halves = [
        Batch((batch.images[0][half],), batch.target[half], batch.index[half])
        for batch in large
        if batch.target is not None
        for half in (slice(0, 4), slice(4, 8))
    ]
    one, two = linear(), linear()
    run(settings, one, large)
    run(TrainSettings(**{**vars(settings), "accumulate": 2}), two, halves)
    torch.testing.assert_close(one.weight, two.weight)


def test_the_log_has_the_means_over_samples() -> None:
    settings = TrainSettings(epochs=1, learning_rate=1e-12, schedule=MultiStep())
    module = linear()
    _, log = run(settings, module, batches())
    each = [stepping(module)(batch)[0][0].item() * len(batch.index) for batch in batches()]
    mean = sum(each) / sum(SIZES)
    assert log == pytest.approx({"loss": mean, "hard": mean, "twice": 2 * mean})


def test_the_learning_rate_follows_the_schedule_inside_the_epoch() -> None:
    settings = TrainSettings(epochs=10, learning_rate=0.5, schedule=OneCycle(rise=0.5, start=0.0))
    module = linear()
    seen: list[float] = []
    parallel = on_cpu()
    optimizer = torch.optim.SGD(module.parameters(), lr=99.0)
    fit_epoch(
        2,
        step=stepping(module),
        batches=batches((4, 4, 4, 4)),
        steps=4,
        module=module,
        optimizer=optimizer,
        settings=settings,
        parallel=parallel,
        update_average=lambda: seen.append(optimizer.param_groups[0]["lr"]),
    )
    assert seen == pytest.approx([0.5 * epoch / 5 for epoch in (2.0, 2.25, 2.5, 2.75)])


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_loss_that_is_no_number_ends_the_run_with_the_terms(broken: float) -> None:
    module = linear()

    def step(batch: Batch) -> tuple[tuple[Tensor, ...], Mapping[str, Tensor]]:
        hard = module(batch.images[0]).mean()
        return (hard * broken,), {"hard": hard, "nckd": hard * broken}

    parallel = on_cpu()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    with pytest.raises(
        NonFiniteLossError, match=r"in epoch 3, step 1: loss (nan|-?inf), hard .*, nckd (nan|-?inf)\. Lower"
    ):
        fit_epoch(
            2,
            step=step,
            batches=batches((4,)),
            steps=1,
            module=module,
            optimizer=optimizer,
            settings=TrainSettings(),
            parallel=parallel,
        )


def test_an_epoch_without_batches_is_refused() -> None:
    with pytest.raises(ValueError, match="epoch 1 had no batches"):
        run(TrainSettings(), linear(), [])
