"""Runs with mixup, cutmix and smoothed labels: the same bits when resumed, seen alike by both networks, or refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from command_line import Run
from data.made_pictures import folder
from decant.data import load
from decant.engine import train
from decant.engine.record import read_summary
from decant.engine.supply import Supply
from decant.engine.training import Training, own_random_state
from decant.engine.unfit import refuse_unfit
from decant.interfaces import MethodSettings
from decant.losses import dkd_terms
from decant.methods import METHODS, ComposedSettings, DKDSettings, NCKDSettings, SDDSettings
from decant.recipe import Recipe
from engine.tiny import (
    DATA,
    InterruptAfter,
    LostMachineError,
    on_cpu,
    places,
    recipe,
    rows_of,
    splits,
    untrained_teacher,
    weights_of,
)
from methods.building import digits_context

SOFT: dict[str, Any] = {"mixup": 0.4, "cutmix": 1.0, "label_smoothing": 0.1}


@pytest.mark.parametrize("method", ["supervised", "dkd", "reviewkd", "crld", "nd"])
def test_an_interrupted_run_goes_on_to_the_same_bits(tmp_path: Path, method: str) -> None:
    planned = recipe(METHODS[method](), **SOFT, checkpoint_steps=1)
    train(planned, tmp_path / "whole", places(tmp_path), teacher=_given(planned))
    with pytest.raises(LostMachineError):
        train(planned, tmp_path / "broken", places(tmp_path), teacher=_given(planned), reporter=InterruptAfter(6))
    train(planned, tmp_path / "broken", places(tmp_path), teacher=_given(planned))
    assert rows_of(tmp_path / "whole") == rows_of(tmp_path / "broken")
    first, second = (weights_of(tmp_path / each) for each in ("whole", "broken"))
    assert all(torch.equal(first[key], second[key]) for key in first)


def _given(planned: Recipe) -> Any:
    return untrained_teacher() if planned.teacher is not None else None


def test_both_networks_see_the_same_mixed_images_and_dkd_the_mixed_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    planned = recipe(DKDSettings(warmup=0), **SOFT)
    seen: dict[str, list[Tensor]] = {"student": [], "teacher": []}
    with own_random_state(torch.device("cpu")):
        training = Training(planned, splits(), untrained_teacher(), on_cpu())

    def watch(name: str, network: nn.Module | None) -> None:
        assert network is not None
        network.register_forward_hook(lambda module, given, said: seen[name].extend((given[0], said)))

    watch("student", training.distiller.student)
    watch("teacher", training.distiller.teacher)
    batch = next(training.batches(0))
    assert batch.target is not None
    assert batch.target.shape == (16, 8)
    terms = training.distiller(batch.images, batch.target, epoch=0.0).terms
    assert torch.equal(seen["student"][0], seen["teacher"][0])
    expected = dkd_terms(seen["student"][1], seen["teacher"][1], batch.target)
    assert torch.equal(terms["tckd"], expected.tckd)
    assert torch.equal(terms["nckd"], expected.nckd)
    plain = next(Supply(recipe(DKDSettings()), splits(), on_cpu()).batches(next(training.orders([0]))))
    assert torch.equal(plain.index, batch.index)
    assert not torch.equal(plain.images[0], batch.images[0])


def test_by_default_labels_are_classes() -> None:
    supply = Supply(recipe(), splits(), on_cpu())
    batch = next(supply.batches(next(supply.orders([0], METHODS["supervised"]().build(digits_context())))))
    assert batch.target is not None
    assert batch.target.dtype == torch.int64


@pytest.mark.parametrize(
    "settings",
    [
        METHODS["nkd"](),
        METHODS["rld"](),
        METHODS["crd"](),
        NCKDSettings(suppress=True),
        SDDSettings(base="nkd"),
        ComposedSettings((DKDSettings(), METHODS["nkd"]())),
    ],
    ids=lambda settings: settings.name,
)
def test_methods_about_one_class_are_refused_by_name(settings: MethodSettings, tmp_path: Path) -> None:
    planned = recipe(settings, label_smoothing=0.1)
    with pytest.raises(ValueError, match=rf"^{settings.name.replace('+', '.')} is about one class of each sample"):
        train(planned, tmp_path / "run", places(tmp_path))
    assert not (tmp_path / "teachers").exists(), "before the teacher is trained"


@pytest.mark.parametrize("name", [name for name in METHODS if name not in ("nkd", "rld", "crd")])
def test_all_others_take_a_step_with_mixed_labels(name: str) -> None:
    planned = recipe(METHODS[name](), **SOFT)
    with own_random_state(torch.device("cpu")):
        training = Training(planned, splits(), _given(planned), on_cpu())
        training.prepare()
        batch = next(training.batches(0))
        loss = training.distiller(batch.images, batch.target, index=batch.index, epoch=100.0).loss
        loss.backward()
    assert bool(loss.isfinite())


def test_a_method_that_asks_for_one_class_passes_with_classes() -> None:
    refuse_unfit(recipe(METHODS["nkd"]()), METHODS["nkd"]().build(digits_context()), 8)


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_mixed_images_have_no_table(name: str) -> None:
    changes: dict[str, Any] = {name: 0.5}
    with pytest.raises(ValueError, match=rf"train.{name}: mixed images are never met twice"):
        recipe(DKDSettings(), teacher_cache="views", **changes)
    recipe(DKDSettings(), label_smoothing=0.1, teacher_cache="views")


def test_labels_that_are_not_there_cannot_be_mixed() -> None:
    with pytest.raises(ValueError, match=r"train.mixup and train.cutmix and train.label_smoothing mixes labels"):
        replace(recipe(**SOFT), data=replace(DATA, hidden_labels=0.5))


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"mixup": -0.1}, "mixup is a number from 0 to 100"),
        ({"cutmix": float("inf")}, "cutmix is a number from 0 to 100"),
        ({"label_smoothing": 1.0}, "label_smoothing is a share from 0 to below 1"),
    ],
)
def test_values_out_of_range_are_refused(settings: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        recipe(**settings)


def test_smoothed_labels_with_the_table(tmp_path: Path) -> None:
    planned = recipe(DKDSettings(), label_smoothing=0.1, teacher_cache="views")
    summary = train(planned, tmp_path / "run", places(tmp_path))
    assert summary["last"]["teacher_hits"] > 0


def test_pictures_in_files_are_mixed_by_the_command(tmp_path: Path, decant: Run) -> None:
    pictures = folder(tmp_path / "pets", {"cat": 12, "dog": 12})
    arguments = f"distill {pictures} --teacher digits_teacher --student digits_student"
    arguments += " --size 8 --epochs 2 --teacher-epochs 2 --seeds 1 --workers 0 --device cpu --anyway"
    soft = [part for key, value in SOFT.items() for part in ("--set", f"train.{key}={value}")]
    out_folder = ("--out", str(tmp_path / "out"))
    code, out, err = decant(*arguments.split(), *out_folder, *soft, "--set", "train.batch_size=8")
    assert code == 0, out + err
    assert read_summary(tmp_path / "out" / "runs" / "dkd" / "seed-0")["finished"]
    other = tmp_path / "other"
    code, _, err = decant(*arguments.split(), "--out", str(other), *soft, "--method", "nkd")
    assert code == 2
    assert not list(other.rglob("summary.json")), "nothing is trained before"
    assert "nkd is about one class of each sample" in " ".join(err.split())


def test_the_labels_of_the_whole_set_stay_classes() -> None:
    assert load(DATA).train.target.dtype == torch.int64
