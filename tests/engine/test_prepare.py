"""The pass of the teacher over the training set: only for a method that asks, and once for a run."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from decant import Distiller
from decant.engine import train
from decant.engine.training import Training
from decant.interfaces import Batch, Outputs
from decant.methods import ND, KDSettings, NDSettings
from decant.models import Tapped, create
from engine.tiny import CLASSES, InterruptAfter, LostMachineError, on_cpu, places, recipe, splits, untrained_teacher
from engine.toy_methods import Remembers

PLANNED = recipe(NDSettings())


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many samples each pass of a teacher had that was read to its end."""
    counted: list[int] = []
    given = Distiller._teacher_outputs

    def counting(self: Distiller, batches: Iterable[tuple[Tensor, Tensor | None]]) -> Iterator[tuple[Outputs, Batch]]:
        samples = 0
        for outputs, batch in given(self, batches):
            samples += len(batch.index)
            yield outputs, batch
        counted.append(samples)

    monkeypatch.setattr(Distiller, "_teacher_outputs", counting)
    return counted


def test_a_run_asks_once_and_one_that_goes_on_does_not_ask_again(passes: list[int], tmp_path: Path) -> None:
    with pytest.raises(LostMachineError):
        train(PLANNED, tmp_path / "run", places(tmp_path), teacher=untrained_teacher(), reporter=InterruptAfter(6))
    assert passes == [64]
    train(PLANNED, tmp_path / "run", places(tmp_path), teacher=untrained_teacher())
    assert passes == [64]


def test_neither_the_search_for_faults_nor_another_method_asks(passes: list[int], tmp_path: Path) -> None:
    train(PLANNED, tmp_path / "nd", places(tmp_path))  # looks for faults first, with a teacher that is not trained yet
    assert passes == [64]
    train(recipe(KDSettings()), tmp_path / "kd", places(tmp_path))
    assert passes == [64]


def test_it_is_the_teacher_in_eval_mode_on_plain_images() -> None:
    teacher, data = untrained_teacher(), splits()
    with torch.random.fork_rng():
        made = Training(PLANNED, data, teacher, on_cpu())
    assert made.distiller.teacher is not None
    made.distiller.teacher.train()
    made.prepare()
    images = (data.train.images.float() / 255 - torch.tensor(data.train.mean).view(-1, 1, 1)) / torch.tensor(
        data.train.std
    ).view(-1, 1, 1)
    with torch.no_grad():
        pooled = Tapped(teacher.network.eval(), {"pooled": "pool"})(images).taps["pooled"]
    means = torch.stack([pooled[data.train.target == c].mean(dim=0) for c in range(CLASSES)])
    assert isinstance(made.distiller.method, ND)
    expected = means / means.norm(dim=1, keepdim=True)
    torch.testing.assert_close(made.distiller.method.directions, expected, rtol=1e-4, atol=1e-5)


class Listens(Remembers):
    """Keeps what it was prepared with."""

    taps: tuple[str, ...] = ("stage1",)

    def prepare(self, teacher_outputs: Iterator[tuple[Outputs, Batch]]) -> None:
        self.heard = list(teacher_outputs)


def test_a_loop_of_ones_own_gives_its_batches() -> None:
    student, teacher = (create(name, num_classes=4) for name in ("digits_student", "digits_teacher"))
    method, images, target = Listens(), torch.randn(5, 1, 8, 8), torch.arange(5) % 4
    distiller = Distiller(student, teacher, method)
    distiller.prepare([(images[:3], target[:3]), (images[3:], target[3:])])
    (first, one), (second, two) = method.heard
    assert torch.equal(torch.cat([one.index, two.index]), torch.arange(5))
    assert two.target is not None
    assert torch.equal(two.target, target[3:])
    assert first.taps.keys() == {"stage1"}
    assert not first.logits.requires_grad
    torch.testing.assert_close(torch.cat([first.logits, second.logits]), teacher(images))


def test_a_method_that_learns_from_no_teacher_cannot_ask_one() -> None:
    class Asks(Listens):
        needs_teacher = False
        taps = ()

    def never() -> Iterator[tuple[Tensor, Tensor]]:
        raise AssertionError("the data was read")
        yield

    with pytest.raises(ValueError, match="Asks asked what the teacher says, but it learns from none"):
        Distiller(nn.Linear(2, 2), None, Asks()).prepare(never())
    Distiller(nn.Linear(2, 2), None, "supervised").prepare(never())
