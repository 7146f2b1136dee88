"""Runs on pictures in files: a teacher and its student, resumed to the same bits by other workers, evaluated again."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from data.made_pictures import folder, save
from decant.data import DataSettings, PictureSettings, PictureSplits, load_pictures
from decant.engine import Places, train
from decant.engine.judge import evaluate_run
from decant.engine.parallel import Parallel
from decant.engine.record import read_summary
from decant.engine.supply import Supply
from decant.engine.teacher import untrained
from decant.engine.training import Training, own_random_state
from decant.methods import METHODS, DKDSettings, GDKDSettings, Supervised
from decant.recipe import NetworkSettings, Recipe, TeacherSettings, TrainSettings
from engine.tiny import Heard, InterruptAfter, LostMachineError, on_cpu, rows_of, weights_of

DATA = DataSettings(name="pictures", pictures=PictureSettings(size=8, test=0.25))
GROWING = replace(DATA, pictures=replace(DATA.pictures, sizes=((0, 6), (1, 12))))
TRAIN = TrainSettings(epochs=2, batch_size=8, learning_rate=0.05)
ALONE = Recipe(student=NetworkSettings("digits_student"), data=DATA, train=TRAIN)
TEACHER = Recipe(student=NetworkSettings("digits_teacher"), data=DATA, train=TRAIN)
RECIPE = Recipe(
    student=NetworkSettings("digits_student"),
    data=DATA,
    teacher=TeacherSettings(recipe=TEACHER),
    method=DKDSettings(warmup=0),
    train=TRAIN,
)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return folder(tmp_path / "pictures", {"cat": 12, "dog": 12, "eel": 8})


def places(tmp_path: Path, workers: int = 0) -> Places:
    return Places(teachers=tmp_path / "teachers", data=tmp_path / "pictures", device="cpu", workers=workers)


def test_a_run_on_pictures(pictures: Path, tmp_path: Path) -> None:
    heard = Heard()
    summary = train(RECIPE, tmp_path / "run", places(tmp_path), reporter=heard)
    assert summary["teacher"]["name"] == "digits_teacher"
    assert summary["last"]["samples"] == 8
    assert f"{pictures}: 3 classes, 24 to train on, 8 to test on; 6 to 9 of a class to train on" in heard.lines
    assert list((tmp_path / "teachers" / "checks").glob("checked-*.json"))
    judged = evaluate_run(tmp_path / "run", places(tmp_path))
    assert judged.score.top1 == summary["last"]["top1"]
    assert judged.images == "pictures/test"


def test_a_resumed_run_with_other_workers_is_the_undisturbed_one(pictures: Path, tmp_path: Path) -> None:
    train(RECIPE, tmp_path / "whole", places(tmp_path))
    with pytest.raises(LostMachineError):
        train(RECIPE, tmp_path / "broken", places(tmp_path, workers=2), reporter=InterruptAfter(4))
    train(RECIPE, tmp_path / "broken", places(tmp_path, workers=1))
    first, second = weights_of(tmp_path / "whole"), weights_of(tmp_path / "broken")
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert rows_of(tmp_path / "whole") == rows_of(tmp_path / "broken")
    assert read_summary(tmp_path / "whole")["data"] == read_summary(tmp_path / "broken")["data"]


def test_views_grow_and_a_resumed_run_is_the_undisturbed_one(pictures: Path, tmp_path: Path) -> None:
    growing = replace(RECIPE, data=GROWING, train=replace(TRAIN, epochs=3))
    train(growing, tmp_path / "whole", places(tmp_path))
    with pytest.raises(LostMachineError):
        train(growing, tmp_path / "broken", places(tmp_path, workers=1), reporter=InterruptAfter(5))
    train(growing, tmp_path / "broken", places(tmp_path))
    first, second = weights_of(tmp_path / "whole"), weights_of(tmp_path / "broken")
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert rows_of(tmp_path / "whole") == rows_of(tmp_path / "broken")
    train(replace(RECIPE, train=replace(TRAIN, epochs=3)), tmp_path / "even", places(tmp_path))
    assert rows_of(tmp_path / "whole") != rows_of(tmp_path / "even")


@pytest.mark.parametrize(("epoch", "size"), [(0, 6), (1, 12)])
def test_cutmix_labels_by_the_pixels_of_the_epoch(epoch: int, size: int, pictures: Path, tmp_path: Path) -> None:
    mixed = Supply(replace(ALONE, data=GROWING, train=replace(TRAIN, cutmix=1.0)), *supplied(pictures))
    plain = Supply(replace(ALONE, data=GROWING), *supplied(pictures))
    (order,) = plain.orders([epoch], Supervised())
    counted = 0
    for one, cut in zip(plain.batches(order), mixed.batches(order), strict=True):
        assert one.images[0].shape[-2:] == cut.images[0].shape[-2:] == (size, size)
        assert one.target is not None
        assert cut.target is not None
        left = (one.images[0] == cut.images[0]).all(1).float().mean((1, 2))
        apart = one.target != one.target.roll(1)  # elsewhere the label does not show the share
        shares = cut.target.gather(1, one.target[:, None])[:, 0]
        torch.testing.assert_close(shares[apart], left[apart])
        counted += int((apart & (shares < 1)).sum())
    assert counted > 0


def supplied(pictures: Path) -> tuple[PictureSplits, Parallel]:
    return load_pictures(GROWING, pictures), on_cpu()


@pytest.mark.parametrize("other", [{"data": {"all_strong": True}}, {"train": {"compile": True}}])
def test_what_is_made_for_one_size_is_refused_with_several(other: dict[str, dict[str, Any]]) -> None:
    data = replace(DATA, pictures=replace(DATA.pictures, sizes=((0, 6),)), **other.get("data", {}))
    with pytest.raises(ValueError, match=r"data\.pictures\.sizes changes the images' size"):
        replace(RECIPE, data=data, train=replace(TRAIN, **other.get("train", {})))


@pytest.mark.parametrize("name", ["mlkd", "crld"])
def test_strong_views_are_refused_with_several_sizes_before_the_teacher_is_trained(
    name: str, pictures: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=f"^{name} has strong views, which are made for one size of images, but"):
        train(replace(RECIPE, data=GROWING, method=METHODS[name]()), tmp_path / "run", places(tmp_path))
    assert not list((tmp_path / "teachers").glob("*/summary.json"))


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if name not in ("mlkd", "crld")])
def test_a_method_is_refused_just_where_it_cannot_take_a_step_of_another_size(
    name: str, pictures: Path, tmp_path: Path
) -> None:
    method = GDKDSettings(k=2) if name == "gdkd" else METHODS[name]()
    planned = replace(RECIPE, data=GROWING, method=method)
    if name == "supervised":
        planned = replace(planned, teacher=None)
    splits = load_pictures(GROWING, pictures)

    def trained() -> Training:
        teacher = untrained(planned.teacher, splits.train) if planned.teacher is not None else None
        return Training(planned, splits, teacher, on_cpu())

    with own_random_state(torch.device("cpu")):
        if name == "reviewkd":
            told = r"sizes has views of 6 pixels, on which digits_student cannot be trained by reviewkd \("
            with pytest.raises(ValueError, match=told):
                trained()
            return
        training = trained()
        training.prepare()
        for epoch in (0, 1):
            batch = next(training.batches(epoch))
            assert batch.images[0].shape[-1] == (6, 12)[epoch]
            loss = training.distiller(batch.images, batch.target, index=batch.index, epoch=float(epoch)).loss
            assert bool(loss.isfinite())


def test_that_a_size_is_tried_leaves_no_trace(pictures: Path, tmp_path: Path) -> None:
    states = []
    for data in (DATA, GROWING):
        splits = load_pictures(data, pictures)
        with own_random_state(torch.device("cpu")):
            training = Training(replace(ALONE, data=data), splits, None, on_cpu())
            states.append((training.state_dict(), torch.random.get_rng_state()))
    (plain, before), (tried, after) = states
    assert torch.equal(before, after)
    assert all(torch.equal(value, tried["distiller"][key]) for key, value in plain["distiller"].items())


def test_other_pictures_are_not_gone_on_with(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(LostMachineError):
        train(RECIPE, tmp_path / "run", places(tmp_path), reporter=InterruptAfter(4))
    save(pictures / "cat" / "new.png", seed=9)
    with pytest.raises(FileExistsError, match="a part of this run that was trained with other material"):
        train(RECIPE, tmp_path / "run", places(tmp_path))


def test_a_table_of_logits_is_refused_in_the_recipe() -> None:
    with pytest.raises(ValueError, match="windows of pictures are never met twice"):
        Recipe(
            student=NetworkSettings("digits_student"),
            data=DATA,
            train=TrainSettings(teacher_cache="views"),
        )
