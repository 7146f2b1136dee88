"""A teacher that works once: it says what the live one says, and is run no more often than it must be."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from decant.data import EpochOrder, ordered_batches
from decant.engine.tabled_teacher import TabledTeacher, refuse_unserved, teacher_logits
from decant.interfaces import Outputs
from decant.models import create
from engine.tiny import CLASSES, on_cpu
from engine.toy_methods import Hint, Remembers
from engine.toy_tables import Counting, images, order, table, tabled, views

ROWS = 8
"""Of a forward pass, as the key says."""


def answers(teacher: TabledTeacher, of: EpochOrder) -> list[Outputs]:
    return list(teacher.outputs(of))


def said(outputs: list[Outputs]) -> Tensor:
    return torch.cat([output.logits for output in outputs])


@pytest.mark.parametrize(("kind", "relative"), [("fp32", 1e-5), ("fp16", 2.0**-11 + 1e-5)])
@pytest.mark.parametrize("network", ["resnet8", "ShuffleNetV1"])
def test_it_says_what_the_live_teacher_says_up_to_the_type_s_rounding(
    tmp_path: Path, network: str, kind: str, relative: float
) -> None:
    """Per logit, to the largest of its row: fp32 within 1e-5 of a pass over other batches, fp16 within half a unit."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        live = create(network, num_classes=CLASSES)
    forward = teacher_logits(live, on_cpu())
    with table(tmp_path, type=kind) as kept:
        teacher = TabledTeacher(kept, forward, images(), views())
        epoch = order()
        for batch, outputs in zip(ordered_batches(images(), views(), epoch), answers(teacher, epoch), strict=True):
            expected = forward(batch.images[0])
            scale = expected.abs().amax(1, keepdim=True)
            assert outputs.logits.shape == expected.shape
            assert ((outputs.logits - expected) / scale).abs().max() <= relative
            assert not outputs.taps
            assert outputs.more == ()


def test_each_view_is_worked_out_once_in_full_batches(tmp_path: Path) -> None:
    forward = Counting()
    with table(tmp_path) as kept:
        teacher = tabled(kept, forward)
        met: set[tuple[int, int]] = set()
        for epoch in range(4):
            now = order(epoch)
            pairs = set(zip(now.index.tolist(), now.view_ids[0].tolist(), strict=True))
            new = len(pairs - met)
            before = len(forward.rows)
            answers(teacher, now)
            assert (teacher.met, teacher.missed) == (64, new)
            assert len(forward.rows) - before == -(-new // ROWS), "no pass is padded but the last of an epoch"
            met |= pairs
        assert set(forward.rows) == {ROWS}
        assert len(met) < 4 * 64, "some views came twice, or nothing was tested"
        before = len(forward.rows)
        first = said(answers(teacher, order(2)))
        assert len(forward.rows) == before
        assert (teacher.met, teacher.missed) == (64, 0)
    with table(tmp_path) as kept:  # warm, in another process
        assert torch.equal(said(answers(tabled(kept), order(2))), first)


def test_it_is_run_no_earlier_than_a_step_needs_it(tmp_path: Path) -> None:
    forward = Counting()
    with table(tmp_path) as kept:
        outputs = tabled(kept, forward).outputs(order(batch_size=4))
        next(outputs)
        assert len(forward.rows) == 1
        next(outputs)
        assert len(forward.rows) == 1, "the first pass took what the second step would miss"
        next(outputs)
        assert len(forward.rows) == 2


@pytest.mark.parametrize("network", ["resnet8", "wrn_16_1", "vgg8", "MobileNetV2", "ShuffleNetV1"])
def test_entries_do_not_depend_on_what_else_was_missing(tmp_path: Path, network: str) -> None:
    """Bit for bit, however the misses met in a batch; half of one table was there before."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        forward = teacher_logits(create(network, num_classes=CLASSES), on_cpu())
    wanted = torch.arange(0, 48)
    with table(tmp_path / "one") as one, table(tmp_path / "other") as other:
        ordered, mixed = (TabledTeacher(kept, forward, images(), views()) for kept in (one, other))
        for batch in wanted.split(ROWS):
            ordered.work_out(batch)
        shuffled = wanted[torch.randperm(48, generator=torch.Generator().manual_seed(1))]
        for batch in (*shuffled[::2].split(5), *shuffled[1::2].split(ROWS)):
            mixed.work_out(batch)
        assert torch.equal(one.get(wanted), other.get(wanted))
        assert not torch.equal(one.get(wanted[:1]), one.get(wanted[1:2]))


def test_several_views_of_a_sample_are_each_answered(tmp_path: Path) -> None:
    epoch, forward = order(views_per_sample=2), Counting()
    with table(tmp_path) as kept:
        teacher = tabled(kept, forward)
        outputs = answers(teacher, epoch)
        assert teacher.missed == len(kept.filled()) < teacher.met == 128, "one view twice is worked out once"
    for batch, output in zip(ordered_batches(images(), views(), epoch), outputs, strict=True):
        (more,) = output.more
        for got, shown in zip((output, more), batch.images, strict=True):
            torch.testing.assert_close(got.logits, forward.network(shown), rtol=1e-5, atol=1e-6)


def test_what_an_epoch_lacks_is_known_before(tmp_path: Path) -> None:
    with table(tmp_path) as kept:
        teacher = tabled(kept)
        answers(teacher, order(0))
        rows, lacking = teacher.needs(order(epoch) for epoch in range(4))
        forecast = teacher.forecast(order(epoch) for epoch in range(4))
        missed = 0
        for epoch in range(4):
            answers(teacher, order(epoch))
            missed += teacher.missed
        assert (rows, len(lacking)) == (256, missed) == (forecast.rows, len(forecast.lacking))
        assert forecast.hits == 1 - missed / 256
        assert forecast.seconds == pytest.approx(missed * forecast.seconds_per_row)
        assert forecast.sentence() == (
            f"teacher: {1 - missed / 256:.1%} of 256 rows from the table {tmp_path} (37.0 kB, "
            f"{64 / (64 * views().count):.1%} filled), {missed} worked out"
        )
        assert len(teacher.needs(order(epoch) for epoch in range(4))[1]) == 0


def test_another_order_finds_its_views_among_the_same_entries(tmp_path: Path) -> None:
    """An entry belongs to a sample and a view, not to the epoch or the seed that met it first."""
    forward = Counting()
    with table(tmp_path) as kept:
        teacher = tabled(kept, forward)
        answers(teacher, order(0, seed=0))
        before = len(forward.rows)
        shuffled = order(0, seed=1)
        outputs = answers(teacher, shuffled)  # the same views under one seed of theirs, in another order
        assert len(forward.rows) == before
        for batch, output in zip(ordered_batches(images(), views(), shuffled), outputs, strict=True):
            torch.testing.assert_close(output.logits, forward.network(batch.images[0]), rtol=1e-5, atol=1e-6)


def test_a_table_that_the_teacher_does_not_recognise_is_refused(tmp_path: Path) -> None:
    forward = Counting()
    with table(tmp_path) as kept:
        answers(tabled(kept, forward), order())
        changed = Counting()
        with torch.no_grad():
            changed.network.get_submodule("3").get_parameter("weight").mul_(-1)  # as by other code: the key is the same
        with pytest.raises(ValueError, match=r"is not of this teacher: entries of size .* differ by .*; the code that"):
            tabled(kept, changed)
        tabled(kept, forward)
    with (tmp_path / "logits.bin").open("r+b") as file:  # a disk that forgot
        file.write(bytes((tmp_path / "logits.bin").stat().st_size))
    with table(tmp_path) as kept, pytest.raises(ValueError, match="or the file is damaged: remove the folder"):
        tabled(kept, forward)


def test_a_teacher_is_run_as_it_is_judged() -> None:
    """In eval mode whatever its mode was, without gradients, in the run's precision."""
    network = create("resnet8", num_classes=CLASSES).train()
    shown = torch.randn(4, 3, 32, 32)
    logits = teacher_logits(network, on_cpu("bf16"))(shown)
    assert not logits.requires_grad
    assert logits.dtype == torch.bfloat16
    network.eval()
    assert torch.equal(teacher_logits(network, on_cpu())(shown), network(shown).detach())


def test_a_method_that_learns_from_features_is_not_served() -> None:
    with pytest.raises(ValueError, match=r"method hint learns from features \(hidden\); a table of logits does not"):
        refuse_unserved(Hint(2, 3), "hint")
    refuse_unserved(Remembers(), "remembers")
    alone = Hint(2, 3)
    alone.needs_teacher = False  # features of the student's own
    refuse_unserved(alone, "alone")
