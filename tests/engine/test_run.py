"""What a run leaves behind, what decides it, and what does not."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

from decant.data import DataSettings
from decant.engine import train
from decant.engine.evaluate import evaluate
from decant.engine.judge import evaluate_run
from decant.engine.training import Training
from decant.interfaces import Batch, MethodSettings
from decant.methods import DKDSettings, KDSettings, SupervisedSettings
from decant.models import create, load_weights
from decant.recipe import Recipe
from engine.tiny import (
    CLASSES,
    DATA,
    Heard,
    on_cpu,
    places,
    recipe,
    rows_of,
    splits,
    untrained_teacher,
    weights_of,
)


def training(of: Recipe) -> Training:
    with torch.random.fork_rng():
        return Training(of, splits(of.data), untrained_teacher(), on_cpu(of.train.precision))


def equal(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


def test_a_run_says_what_it_came_to(tmp_path: Path) -> None:
    summary = train(recipe(DKDSettings(warmup=2)), tmp_path / "run", places(tmp_path), teacher=untrained_teacher())
    assert json.loads((tmp_path / "run" / "summary.json").read_text()) == summary
    assert (summary["finished"], summary["network"], summary["epochs"]) == (True, "digits_student", 3)
    assert (summary["evaluated"], summary["teacher"]["sha256"]) == ("student", "c0ffee")
    assert summary["parameters"] == sum(value.numel() for value in create_student().parameters())
    assert (summary["data"], summary["judged"]) == (splits().train.fingerprint(), splits().test.fingerprint())
    rows = rows_of(tmp_path / "run")
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert [row["weights"] for row in rows] == [
        {"hard": 1.0, "tckd": 0.5, "nckd": 4.0},
        {"hard": 1.0, "tckd": 1.0, "nckd": 8.0},
        {"hard": 1.0, "tckd": 1.0, "nckd": 8.0},
    ]
    for row in rows:
        total = sum(row["weights"][name] * value for name, value in row["terms"].items())
        assert row["train_loss"] == pytest.approx(total, rel=1e-5)
        assert (row["split"], row["samples"]) == ("test", 48)
    assert rows[-1] == {key: value for key, value in summary["last"].items() if key != "seconds"}
    assert summary["best"]["top1"] == max(row["top1"] for row in rows)
    assert rows[-1]["loss"] < rows[0]["loss"]


def create_student() -> nn.Module:
    return create("digits_student", num_classes=CLASSES, in_channels=3)


def test_the_saved_weights_are_those_that_were_judged(tmp_path: Path) -> None:
    summary = train(recipe(), tmp_path / "run", places(tmp_path))
    network = create_student()
    load_weights(network, tmp_path / "run" / "student.safetensors")
    score = evaluate(network, splits().test, on_cpu())
    assert score.top1 == summary["last"]["top1"]
    assert score.loss == pytest.approx(summary["last"]["loss"], rel=1e-5)
    with safe_open(tmp_path / "run" / "student.safetensors", framework="pt") as file:
        header = json.loads(file.metadata()["decant"])
    assert (header["network"], header["weights"]) == ("digits_student", "student")
    assert header["classes"] == [f"class {index}" for index in range(CLASSES)]


@pytest.mark.parametrize("ema", [None, 0.5])
def test_weights_kept_in_half_the_space_are_those_that_were_judged(tmp_path: Path, ema: float | None) -> None:
    whole = train(recipe(ema=ema), tmp_path / "whole", places(tmp_path))
    summary = train(recipe(ema=ema, weights_type="fp16"), tmp_path / "half", places(tmp_path))
    kept = weights_of(tmp_path / "half")
    assert {value.dtype for value in kept.values() if value.is_floating_point()} == {torch.float16}
    for key, value in weights_of(tmp_path / "whole").items():
        assert torch.equal(value.to(kept[key].dtype), kept[key]), key
    network = create("digits_student", num_classes=CLASSES, in_channels=3)
    load_weights(network, tmp_path / "half" / "student.safetensors")
    score = evaluate(network, splits().test, on_cpu())
    assert score.loss == pytest.approx(summary["last"]["loss"], abs=1e-12)
    assert summary["last"]["loss"] != whole["last"]["loss"]
    assert summary["last"]["train_loss"] == whole["last"]["train_loss"]


def test_a_moving_average_is_what_is_judged_and_saved(tmp_path: Path) -> None:
    summary = train(recipe(ema=0.99), tmp_path / "ema", places(tmp_path))
    train(recipe(), tmp_path / "plain", places(tmp_path))
    assert summary["evaluated"] == "moving average"
    averaged, plain = weights_of(tmp_path / "ema"), weights_of(tmp_path / "plain")
    assert not torch.equal(averaged["classifier.weight"], plain["classifier.weight"])
    network = create_student()
    load_weights(network, tmp_path / "ema" / "student.safetensors")
    assert evaluate(network, splits().test, on_cpu()).top1 == summary["last"]["top1"]
    with safe_open(tmp_path / "ema" / "student.safetensors", framework="pt") as file:
        assert json.loads(file.metadata()["decant"])["weights"] == "moving average"


def test_equal_runs_leave_equal_files(tmp_path: Path) -> None:
    files = []
    for name in ("one", "other"):
        train(recipe(), tmp_path / name, places(tmp_path))
        files.append((tmp_path / name / "student.safetensors").read_bytes())
    assert files[0] == files[1]


@pytest.mark.parametrize("channels_last", [True, False])
def test_evaluating_a_run_gives_what_the_run_said(tmp_path: Path, channels_last: bool) -> None:
    summary = train(recipe(channels_last=channels_last), tmp_path / "run", places(tmp_path))
    judged = evaluate_run(tmp_path / "run", places(tmp_path))
    assert judged.score.to_dict() == {key: summary["last"][key] for key in judged.score.to_dict()}
    assert (judged.images, judged.recipe) == ("fake/test", recipe(channels_last=channels_last))


def test_other_weights_of_the_same_network_can_be_evaluated(tmp_path: Path) -> None:
    train(recipe(), tmp_path / "run", places(tmp_path))
    other = train(recipe(seed=1), tmp_path / "other", places(tmp_path))
    judged = evaluate_run(tmp_path / "run", places(tmp_path), weights=tmp_path / "other" / "student.safetensors")
    assert judged.score.loss == other["last"]["loss"]


def test_what_is_no_finished_run_cannot_be_evaluated(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"is not the folder of a run: there is no .*recipe\.json"):
        evaluate_run(tmp_path, places(tmp_path))
    train(recipe(), tmp_path / "run", places(tmp_path))
    (tmp_path / "run" / "student.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="the run is not finished, or its weights were moved"):
        evaluate_run(tmp_path / "run", places(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"there is no file of weights .*none\.pth"):
        evaluate_run(tmp_path / "run", places(tmp_path), weights=tmp_path / "none.pth")


def test_tuning_is_judged_on_images_that_nothing_is_trained_on(tmp_path: Path) -> None:
    data = replace(DATA, validation=0.25)
    summary = train(replace(recipe(), data=data, judged_on="validation"), tmp_path / "run", places(tmp_path))
    assert (summary["last"]["split"], summary["last"]["samples"]) == ("validation", 16)
    assert summary["data"] == splits(data).train.fingerprint() != splits(DATA).train.fingerprint()


METHODS: list[MethodSettings] = [SupervisedSettings(), KDSettings(), DKDSettings()]


def test_one_seed_means_one_student_whatever_the_method() -> None:
    first, *others = (training(recipe(method)).distiller.student.state_dict() for method in METHODS)
    assert all(equal(first, other) for other in others)
    assert not equal(first, training(recipe(seed=1)).distiller.student.state_dict())


def batches(of: Recipe, epoch: int = 1) -> list[Batch]:
    return list(training(of).batches(epoch))


def orders(batches: list[Batch]) -> list[list[int]]:
    return [batch.index.tolist() for batch in batches]


def test_one_seed_means_one_order_and_one_view_whatever_the_method() -> None:
    first, *others = (batches(recipe(method)) for method in METHODS)
    for other in others:
        assert orders(other) == orders(first)
        assert all(torch.equal(a.images[0], b.images[0]) for a, b in zip(first, other, strict=True))
    assert orders(batches(recipe(seed=1))) != orders(first)
    assert orders(batches(recipe(), epoch=2)) != orders(first)


def test_the_view_seed_is_a_setting_of_its_own() -> None:
    def views(seed: int, view_seed: int | None) -> Tensor:
        given = batches(replace(recipe(seed=seed), data=replace(DATA, view_seed=view_seed)))
        return torch.cat([batch.images[0] for batch in given])[torch.cat([batch.index for batch in given]).argsort()]

    assert torch.equal(views(0, view_seed=11), views(1, view_seed=11))
    assert not torch.equal(views(0, view_seed=11), views(0, view_seed=None))
    assert not torch.equal(views(0, view_seed=None), views(1, view_seed=None))


@pytest.mark.parametrize("method", [SupervisedSettings(), DKDSettings()], ids=["supervised", "dkd"])
def test_the_random_state_of_the_caller_neither_decides_nor_is_touched(method: MethodSettings, tmp_path: Path) -> None:
    for number in (1, 2):
        torch.manual_seed(number)
        before = torch.get_rng_state()
        train(recipe(method), tmp_path / str(number), places(tmp_path / str(number)))
        assert torch.equal(torch.get_rng_state(), before)
    assert equal(weights_of(tmp_path / "1"), weights_of(tmp_path / "2"))


@pytest.mark.usefixtures("plain_networks")
@pytest.mark.parametrize("student", ["digits_student", "with_dropout"])
def test_announcing_a_run_leaves_no_trace_in_it(student: str, tmp_path: Path) -> None:
    heard = Heard()
    for announce in (True, False):
        train(
            recipe(DKDSettings(), student=student),
            tmp_path / str(announce),
            places(tmp_path),
            teacher=untrained_teacher(),
            announce=announce,
            reporter=heard,
        )
    assert equal(weights_of(tmp_path / "True"), weights_of(tmp_path / "False"))
    assert rows_of(tmp_path / "True") == rows_of(tmp_path / "False")
    line, folded, note = heard.lines
    assert re.fullmatch(r"  teacher BatchNorm: 6 of 6 folded into the layers before them, deviation .*e-0[67]", folded)
    assert "note: method.warmup 20 is longer than the 3 epochs" in note
    assert f"{student} by dkd on fake, 3 epochs of 4 steps: about " in line
    assert " of disk (" in line


@pytest.mark.usefixtures("plain_networks")
def test_small_batches_accumulated_are_the_large_batch(tmp_path: Path) -> None:
    cases: dict[str, dict[str, Any]] = {"large": {"batch_size": 16}, "small": {"batch_size": 8, "accumulate": 2}}
    for name, sizes in cases.items():
        train(recipe(student="plain", **sizes), tmp_path / name, places(tmp_path))
    torch.testing.assert_close(weights_of(tmp_path / "small"), weights_of(tmp_path / "large"))


def test_a_disk_that_is_too_small_is_known_beforehand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with pytest.raises(OSError, match=r"run needs .* of disk, but 1.0 kB are free; make room"):
        train(recipe(), tmp_path / "run", places(tmp_path))


def test_data_that_is_not_there_leaves_no_claim_on_the_folder(tmp_path: Path) -> None:
    cifar = replace(recipe(), data=DataSettings(name="cifar100"))
    with pytest.raises(FileNotFoundError, match="cifar100: looked in"):
        train(cifar, tmp_path / "run", replace(places(tmp_path), data=tmp_path))
    assert not (tmp_path / "run").exists()
