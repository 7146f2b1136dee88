"""A loss or gradient that is no number: named, written down, and stopped at or left out."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from decant.engine import train
from decant.engine.fit import fit_epoch
from decant.engine.meter import EpochLog, Meter, NonFiniteLossError, Reading
from decant.engine.supply import Supply
from decant.interfaces import Batch
from decant.methods import Supervised
from decant.recipe import MultiStep, TrainSettings
from engine.tiny import Heard, on_cpu, places, recipe, splits

STEPS = 6


def network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))


def batches(broken: tuple[int, ...] = ()) -> list[Batch]:
    generator = torch.Generator().manual_seed(1)
    images = [torch.randn(4, 5, generator=generator) for _ in range(STEPS)]
    for number in broken:
        images[number][2, 3] = math.nan
    return [Batch((each,), torch.arange(4) % 3, 4 * step + torch.arange(4)) for step, each in enumerate(images)]


def fit(module: nn.Module, given: list[Batch], *, bad_gradient_of: int | None = None, **settings: Any) -> EpochLog:
    """An epoch at a learning rate that stays the same, so that a batch more or less does not move it."""
    parallel = on_cpu()

    def step(batch: Batch) -> tuple[tuple[Tensor, ...], Mapping[str, Tensor]]:
        assert batch.target is not None
        hard = F.cross_entropy(module(batch.images[0]), batch.target)
        loss = hard
        if bad_gradient_of is not None and int(batch.index[0]) == 4 * bad_gradient_of:
            loss = hard + (0 * next(module.parameters())).sum().sqrt()  # worth 0, of infinite slope
        return (loss,), {"hard": hard}

    return fit_epoch(
        2,
        step=step,
        batches=given,
        steps=len(given),
        module=module,
        optimizer=torch.optim.SGD(module.parameters(), lr=99.0, momentum=0.9),
        settings=TrainSettings(learning_rate=0.1, schedule=MultiStep(), **settings),
        parallel=parallel,
    )


def test_the_first_batch_is_named_with_its_samples() -> None:
    with pytest.raises(NonFiniteLossError, match=r"in epoch 3, step 4: loss nan, hard nan\. Lower") as caught:
        fit(network(), batches(broken=(3,)))
    (step,) = caught.value.steps
    assert (caught.value.epoch, step.step, step.samples) == (3, 4, (12, 13, 14, 15))


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(value, other.state_dict()[key]) for key, value in one.state_dict().items())


@pytest.mark.parametrize("broken", [(0,), (3,), (1, 5)])
def test_skipping_is_as_if_the_batch_had_never_been_met(broken: tuple[int, ...]) -> None:
    skipping, without = network(), network()
    log = fit(skipping, batches(broken), on_nonfinite="skip")
    expected = fit(without, [batch for number, batch in enumerate(batches()) if number not in broken])
    assert same(skipping, without), "statistics of BatchNorm are part of it"
    assert (log.loss, log.terms) == (expected.loss, expected.terms)
    assert [each.step for each in log.skipped] == [number + 1 for number in broken]
    assert log.skipped[0].samples == tuple(range(4 * broken[0], 4 * broken[0] + 4))


def test_a_gradient_that_is_no_number_is_skipped_too() -> None:
    skipping, without = network(), network()
    log = fit(skipping, batches(), bad_gradient_of=2, on_nonfinite="skip")
    fit(without, [batch for number, batch in enumerate(batches()) if number != 2])
    assert same(skipping, without)
    assert [each.step for each in log.skipped] == [3]


def test_the_whole_step_is_skipped_where_it_has_several_batches() -> None:
    skipping, without = network(), network()
    log = fit(skipping, batches(broken=(3,)), accumulate=2, on_nonfinite="skip")
    fit(without, [*batches()[:2], *batches()[4:]], accumulate=2)
    assert same(skipping, without)
    assert [each.step for each in log.skipped] == [3, 4]


def test_without_faults_skipping_changes_nothing() -> None:
    one, other = network(), network()
    assert fit(one, batches(), on_nonfinite="skip") == fit(other, batches())
    assert same(one, other)


def test_an_epoch_of_which_nothing_is_left_ends_the_run() -> None:
    with pytest.raises(
        NonFiniteLossError, match=r"every step of epoch 3 was NaN or infinite and skipped; step 1: loss"
    ):
        fit(network(), batches(broken=tuple(range(STEPS))), on_nonfinite="skip")


def test_the_meter_comes_back_as_it_was() -> None:
    whole, first = Meter(2), Meter(2)
    parallel = on_cpu()
    readings = [
        Reading.of(torch.tensor(value), {"hard": torch.tensor(2 * value)}, torch.arange(n))
        for value, n in ((0.1, 4), (0.7, 4), (0.3, 3))
    ]
    whole.add(readings[0])
    first.add(readings[0])
    whole.skip(readings[1])
    first.skip(readings[1])
    second = Meter.from_state(2, first.state_dict(parallel), parallel)
    assert second.batches == 2
    whole.add(readings[2])
    second.add(readings[2])
    assert second.result(parallel) == whole.result(parallel)


def test_a_run_writes_down_which_samples_it_were(tmp_path: Path) -> None:
    planned, heard = recipe(learning_rate=1e30), Heard()
    with pytest.raises(NonFiniteLossError, match=r"in epoch \d, step \d: loss"):
        train(planned, tmp_path / "run", places(tmp_path), reporter=heard)
    kept = json.loads((tmp_path / "run" / "nonfinite.json").read_text())
    (step,) = kept["steps"]
    order = next(Supply(planned, splits(), on_cpu()).orders([kept["epoch"] - 1], Supervised()))
    assert step["samples"] == order.index[order.part(step["step"] - 1)].tolist()
    assert not math.isfinite(float(step["values"]["loss"]))
    assert any("nonfinite.json: which samples" in line for line in heard.lines)
    assert not list((tmp_path / "run").glob("resume-*.pt")) or kept["epoch"] > 1, "a broken state was kept"


def test_what_cannot_go_on_is_not_kept_inside_an_epoch_either(tmp_path: Path) -> None:
    with pytest.raises(NonFiniteLossError):
        train(recipe(learning_rate=1e30, checkpoint_steps=1), tmp_path / "run", places(tmp_path))
    for path in (tmp_path / "run").glob("resume-*.pt"):
        meter = torch.load(path, weights_only=True)["within"]["meter"]
        assert math.isfinite(meter["sums"][0])


def test_a_skipping_run_counts_in_its_log(tmp_path: Path) -> None:
    train(recipe(on_nonfinite="skip"), tmp_path / "run", places(tmp_path))
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row["skipped"] for row in rows] == [0, 0, 0]
