"""`decant.distill`: any modules, any loaders, one call."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from decant import METHODS, DKDSettings, SupervisedSettings, distill
from decant.engine.fit import NonFiniteLossError
from decant.engine.own_networks import within
from decant.recipe import MultiStep, TrainSettings
from engine.tiny import Heard

CLASSES = 4


def data(size: int = 64, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    target = torch.arange(size) % CLASSES
    return torch.eye(CLASSES)[target].repeat(1, 3) + 0.3 * torch.randn(size, 12, generator=generator), target


def loader(**how: Any) -> DataLoader[tuple[Tensor, ...]]:
    generator = torch.Generator().manual_seed(3)
    return DataLoader(TensorDataset(*data()), 16, shuffle=True, generator=generator, **how)


def networks() -> tuple[nn.Sequential, nn.Sequential]:
    torch.manual_seed(0)
    teacher = nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.BatchNorm1d(32), nn.Linear(32, CLASSES))
    return teacher, nn.Sequential(nn.Linear(12, 6), nn.ReLU(), nn.Dropout(0.1), nn.Linear(6, CLASSES))


def test_a_teacher_that_was_trained_teaches() -> None:
    teacher, student = networks()
    val = [data(200, seed=9)]
    trained = distill(None, teacher, loader(), val, SupervisedSettings(), epochs=15)
    assert trained.teacher_top1 is None
    before = {key: value.clone() for key, value in teacher.state_dict().items()}
    heard = Heard()
    made = distill(teacher, student, loader(), val, epochs=30, learning_rate=0.05, reporter=heard)
    assert made.student is student
    assert not student.training
    assert made.teacher_top1 == trained.top1[-1]
    assert (len(made.top1), len(made.log), len(heard.lines)) == (30, 30, 30)
    assert made.top1[-1] > 90
    assert made.log[-1].loss < made.log[0].loss
    assert set(made.log[0].terms) == {"hard", "tckd", "nckd"}
    assert all(torch.equal(value, before[key]) for key, value in teacher.state_dict().items())
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    images, target = val[0]
    assert made.top1[-1] == 100 * float((student(images).argmax(1) == target).float().mean())


def test_the_teacher_is_what_a_student_learns_from() -> None:
    teacher, student = networks()
    distill(None, teacher, loader(), method=SupervisedSettings(), epochs=15)
    images, target = data()
    lying = [(images, target.roll(1))]
    made = distill(teacher, student, lying, [data(200, seed=9)], "kd", epochs=120, learning_rate=0.1)
    assert made.top1[-1] > 90, "in spite of the labels"


def test_features_of_any_module_are_named_by_path() -> None:
    teacher, student = networks()
    made = distill(
        teacher, student, loader(), method="rkd", epochs=1, student_taps={"pooled": "1"}, teacher_taps={"pooled": "2"}
    )
    assert "rkd" in " ".join(made.log[0].terms) or len(made.log[0].terms) > 1
    assert made.top1 == ()
    with pytest.raises(ValueError, match="the network has no module 'nine'; nearest"):
        distill(teacher, student, loader(), method="rkd", epochs=1, student_taps={"pooled": "nine"})


def test_settings_of_the_loop_may_be_given_whole() -> None:
    teacher, student = networks()
    settings = TrainSettings(epochs=2, learning_rate=0.01, schedule=MultiStep(milestones=(1,)), channels_last=False)
    assert len(distill(teacher, student, loader(), settings=settings, epochs=99).log) == 2


def test_a_warm_up_fits_the_epochs() -> None:
    assert within(METHODS["dkd"](), 10) == DKDSettings(warmup=2)
    assert within(METHODS["dkd"](), 240) == DKDSettings()
    assert within(SupervisedSettings(), 1) == SupervisedSettings()


def test_what_cannot_be_distilled_is_told() -> None:
    teacher, student = networks()
    with pytest.raises(ValueError, match="loaders with at least one batch"):
        distill(teacher, student, [])
    with pytest.raises(ValueError, match="there is no method 'dk'"):
        distill(teacher, student, loader(), method="dk")
    with pytest.raises(ValueError, match="learns from a teacher, but teacher is None"):
        distill(None, student, loader())
    images, target = data()
    with pytest.raises(NonFiniteLossError, match="epoch 1"):
        distill(teacher, student, [(images * float("nan"), target)])


def test_any_iterable_with_a_length_is_a_loader() -> None:
    class Own:
        def __len__(self) -> int:
            return 2

        def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
            for seed in range(2):
                yield data(8, seed)

    assert len(distill(*networks(), Own(), epochs=3).log) == 3
