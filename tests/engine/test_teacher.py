import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from decant.engine import train
from decant.engine.evaluate import evaluate
from decant.engine.run import find_teacher
from decant.engine.teacher import teacher_folder
from decant.methods import DKDSettings, KDSettings
from decant.models import create
from decant.recipe import CompareSettings, Recipe, TeacherSettings, recipe_hash
from engine.tiny import (
    CLASSES,
    DATA,
    TEACHER,
    Heard,
    InterruptAfter,
    LostMachineError,
    contents,
    on_cpu,
    places,
    recipe,
    splits,
    weights_of,
)


def test_a_teacher_is_trained_once_and_found_again(tmp_path: Path) -> None:
    heard = Heard()
    first = train(recipe(DKDSettings()), tmp_path / "dkd", places(tmp_path), reporter=heard)
    (folder,) = (tmp_path / "teachers").iterdir()
    assert folder.name == f"digits_teacher-fake-{recipe_hash(TEACHER)[:12]}"
    assert any(line.startswith("teacher digits_teacher: trained first, kept in ") for line in heard.lines)
    before, heard = contents(tmp_path / "teachers"), Heard()
    second = train(recipe(KDSettings()), tmp_path / "kd", places(tmp_path), reporter=heard)
    assert f"teacher digits_teacher: found in {folder}" in heard.lines
    assert contents(tmp_path / "teachers") == before
    digest = hashlib.sha256((folder / "student.safetensors").read_bytes()).hexdigest()
    assert first["teacher"] == second["teacher"]
    assert first["teacher"]["sha256"] == digest
    assert first["teacher"]["name"] == "digits_teacher"
    assert 0 < first["last"]["agreement"] <= 100


def test_the_teacher_is_the_network_that_its_recipe_trains(tmp_path: Path) -> None:
    summary = train(TEACHER, tmp_path / "alone", places(tmp_path))
    teacher = find_teacher(recipe(DKDSettings()), splits(), places(tmp_path))
    assert teacher is not None
    assert teacher.top1 == summary["last"]["top1"]
    assert not teacher.network.training
    assert not any(parameter.requires_grad for parameter in teacher.network.parameters())
    state = teacher.network.state_dict()
    assert all(torch.equal(state[key], value) for key, value in weights_of(tmp_path / "alone").items())


def test_a_fault_of_the_student_s_data_comes_before_the_teacher_is_trained(tmp_path: Path) -> None:
    too_wide = replace(recipe(DKDSettings()), data=replace(DATA, padding=8))
    with pytest.raises(ValueError, match="padding = 8 leaves views of fake/train without any of its 8 pixels"):
        train(too_wide, tmp_path / "run", places(tmp_path))
    assert not list(tmp_path.iterdir())


def test_only_an_accuracy_on_test_images_is_told_of_a_teacher(tmp_path: Path) -> None:
    held_out = replace(DATA, validation=0.25)
    taught = replace(TEACHER, data=held_out, judged_on="validation")
    student = replace(recipe(DKDSettings()), data=held_out, teacher=TeacherSettings(recipe=taught))
    teacher = find_teacher(student, splits(held_out), places(tmp_path))
    assert teacher is not None
    assert teacher.top1 == evaluate(teacher.network, splits(held_out).test, on_cpu()).top1


def test_a_teacher_whose_training_was_interrupted_goes_on(tmp_path: Path) -> None:
    with pytest.raises(LostMachineError):
        train(recipe(DKDSettings()), tmp_path / "run", places(tmp_path), reporter=InterruptAfter(6))
    assert not (tmp_path / "run").exists()
    heard = Heard()
    train(recipe(DKDSettings()), tmp_path / "run", places(tmp_path), reporter=heard)
    assert any("goes on after epoch 1 of 3" in line for line in heard.lines)


def kept(teachers: Path) -> Path:
    folder = teacher_folder(teachers, TEACHER)
    train(TEACHER, folder, places(teachers.parent))
    return folder


def test_a_teacher_is_found_under_whatever_hash_it_was_kept(tmp_path: Path) -> None:
    folder = kept(tmp_path / "teachers")
    renamed = folder.rename(folder.with_name("digits_teacher-fake-of-another-version"))
    assert teacher_folder(tmp_path / "teachers", TEACHER) == renamed
    # what a comparison would run does not change what was trained
    compared = replace(TEACHER, compare=CompareSettings(tuning_seeds=3))
    assert teacher_folder(tmp_path / "teachers", compared) == renamed


@pytest.mark.parametrize(
    "other",
    [replace(TEACHER, seed=6), replace(TEACHER, train=replace(TEACHER.train, epochs=4))],
    ids=["seed", "epochs"],
)
def test_another_recipe_s_teacher_is_not_taken(other: Recipe, tmp_path: Path) -> None:
    folder = kept(tmp_path / "teachers")
    assert not teacher_folder(tmp_path / "teachers", other).exists()
    assert teacher_folder(tmp_path / "teachers", other) != folder


def test_a_kept_recipe_that_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    stranger = tmp_path / "teachers" / "digits_teacher-fake-000"
    stranger.mkdir(parents=True)
    (stranger / "recipe.json").write_text('{"student": {"name": "digits_teacher"}, "of": "a later version"}')
    folder = kept(tmp_path / "teachers")
    assert folder != stranger
    assert teacher_folder(tmp_path / "teachers", TEACHER) == folder


def from_weights(path: Path, name: str = "digits_teacher") -> Recipe:
    teacher = TeacherSettings(name=name, weights=str(path))
    return replace(recipe(DKDSettings()), teacher=teacher)


def test_given_weights_serve_as_a_teacher(tmp_path: Path) -> None:
    network = create("digits_teacher", num_classes=CLASSES, in_channels=3)
    path = tmp_path / "published.pth"
    torch.save({"model": {f"module.{key}": value for key, value in network.state_dict().items()}}, path)
    summary = train(from_weights(path), tmp_path / "run", places(tmp_path))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert summary["teacher"] == {"name": "digits_teacher", "sha256": digest, "top1": summary["teacher"]["top1"]}
    assert summary["teacher"]["top1"] == evaluate(network, splits().test, on_cpu()).top1
    assert not (tmp_path / "teachers").exists()


def test_weights_that_are_not_the_network_s_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "wrong.safetensors"
    save_file(nn.Linear(3, 2).state_dict(), path)
    with pytest.raises(ValueError, match=r"do not fit the network"):
        train(from_weights(path), tmp_path / "run", places(tmp_path))
    save_file(create("digits_teacher", num_classes=CLASSES + 1, in_channels=3).state_dict(), path)
    with pytest.raises(ValueError, match=r"classifier\.weight is \(9, 64\), the network has \(8, 64\)"):
        train(from_weights(path), tmp_path / "run", places(tmp_path))
    assert not (tmp_path / "run").exists()


def test_weights_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"teacher\.weights: there is no file .*nowhere\.pth"):
        train(from_weights(tmp_path / "nowhere.pth"), tmp_path / "run", places(tmp_path))


def test_a_kept_teacher_without_its_weights_is_named(tmp_path: Path) -> None:
    folder = kept(tmp_path / "teachers")
    shutil.move(folder / "student.safetensors", tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match=r"there is no file .*student\.safetensors"):
        find_teacher(recipe(DKDSettings()), splits(), places(tmp_path))
