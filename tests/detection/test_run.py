"""A detection recipe from start to end: what it leaves, how it goes on, and where its teacher comes from."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from decant.detection.pyramid_methods import PyramidReviewKDSettings
from decant.detection.recipe import DetectionRecipe, DetectionTeacherSettings, DetectorSettings
from decant.detection.region_methods import RegionDKDSettings
from decant.detection.run import train_detector
from decant.detection.teacher import classes_in
from decant.recipe import load_as
from detection.toy_runs import TEACHER, alone, recipe, untrained_teacher
from engine.tiny import Heard, InterruptAfter, LostMachineError, contents, places, rows_of, weights_of

pytest.importorskip("faster_coco_eval", reason="needs the extra [detection]")

REVIEW = (RegionDKDSettings(warmup=2), PyramidReviewKDSettings())


@pytest.mark.parametrize("methods", [(), REVIEW], ids=["alone", "dkd+reviewkd"])
def test_a_resumed_run_is_the_undisturbed_one(tmp_path: Path, methods: tuple[RegionDKDSettings, ...]) -> None:
    planned, teacher = (recipe(*methods), untrained_teacher()) if methods else (alone(), None)
    train_detector(planned, tmp_path / "whole", places(tmp_path), teacher=teacher)
    for batches in (1, 3, 3):  # in the first epoch, in the second, in the third
        torch.manual_seed(batches)
        with pytest.raises(LostMachineError):
            train_detector(
                planned, tmp_path / "torn", places(tmp_path), teacher=teacher, reporter=InterruptAfter(batches)
            )
    train_detector(planned, tmp_path / "torn", places(tmp_path), teacher=teacher)
    whole, torn = weights_of(tmp_path / "whole"), weights_of(tmp_path / "torn")
    assert all(torch.equal(whole[key], torn[key]) for key in whole)
    assert rows_of(tmp_path / "whole") == rows_of(tmp_path / "torn")
    assert not any(key.startswith("methods") for key in whole), "the bridges are not part of the student"


def test_a_run_says_all_that_there_is_to_know(tmp_path: Path) -> None:
    teacher, heard = untrained_teacher(), Heard()
    state = torch.get_rng_state()
    summary = train_detector(recipe(*REVIEW), tmp_path / "run", places(tmp_path), teacher=teacher, reporter=heard)
    assert torch.equal(torch.get_rng_state(), state)
    assert set(contents(tmp_path / "run")) == {
        "recipe.json",
        "environment.json",
        "metrics.jsonl",
        "student.safetensors",
        "summary.json",
    }
    first, *_, last = rows_of(tmp_path / "run")
    assert last.keys() >= {"ap", "ap50", "ap75", "ap_small", "per_class", "terms", "weights", "learning_rate"}
    assert last["split"] == "test"
    assert (first["weights"]["nckd_background"], last["weights"]["nckd_background"]) == (0.125, 0.25)
    assert last["terms"].keys() == last["weights"].keys() | {
        "loss_classifier",
        "loss_box_reg",
        "loss_objectness",
        "loss_rpn_box_reg",
    }
    assert summary["teacher"] == {"name": "tiny", "sha256": "9", "ap": None}
    assert summary["last"]["epoch"] == summary["epochs"] == 3
    assert load_as(DetectionRecipe, tmp_path / "run" / "recipe.json") == recipe(*REVIEW)
    assert classes_in(tmp_path / "run" / "student.safetensors") == teacher.classes
    assert "fasterrcnn_tiny_fpn by dkd+reviewkd on shapes, 3 epochs of 2 steps: about" in heard.lines[0]


def test_all_methods_of_a_seed_start_from_one_student(tmp_path: Path) -> None:
    silent = RegionDKDSettings(alpha=0.0, beta=0.0)
    torch.manual_seed(1)  # what came before has no say in it
    train_detector(alone(), tmp_path / "alone", places(tmp_path))
    torch.manual_seed(2)
    train_detector(recipe(silent), tmp_path / "silent", places(tmp_path), teacher=untrained_teacher())
    train_detector(recipe(), tmp_path / "taught", places(tmp_path), teacher=untrained_teacher())
    own, silenced, taught = (weights_of(tmp_path / name) for name in ("alone", "silent", "taught"))
    assert all(torch.equal(own[key], silenced[key]) for key in own)
    assert not all(torch.equal(own[key], taught[key]) for key in own)


def test_the_teacher_is_trained_once_and_found_again(tmp_path: Path) -> None:
    heard = Heard()
    for seed in (0, 1):
        train_detector(recipe(seed=seed), tmp_path / str(seed), places(tmp_path), reporter=heard, announce=False)
    said = [line for line in heard.lines if line.startswith("teacher")]
    assert "trained first, kept in" in said[0]
    assert "found in" in said[1]
    (kept,) = (path for path in (tmp_path / "teachers").iterdir())
    assert kept.name.startswith("fasterrcnn_tiny_wide_fpn-shapes-")
    summary = json.loads((tmp_path / "1" / "summary.json").read_text())
    assert summary["teacher"]["ap"] == json.loads((kept / "summary.json").read_text())["last"]["ap"]


def test_a_file_teaches_with_the_classes_it_names(tmp_path: Path) -> None:
    train_detector(TEACHER, tmp_path / "taught", places(tmp_path))
    file = tmp_path / "taught" / "student.safetensors"
    settings = DetectionTeacherSettings(detector=TEACHER.student, weights=str(file))
    heard = Heard()
    planned = replace(recipe(epochs=1), teacher=settings)
    summary = train_detector(planned, tmp_path / "run", places(tmp_path), reporter=heard)
    assert len(summary["teacher"]["sha256"]) == 64
    names = (*(f"other {number}" for number in range(11)), "red disc")
    renamed = replace(planned, teacher=replace(settings, classes=names))
    train_detector(renamed, tmp_path / "renamed", places(tmp_path), reporter=heard)
    assert any("does not know 11 of the student's 12 classes" in line for line in heard.lines)
    wrong = replace(settings, detector=DetectorSettings("fasterrcnn_tiny_fpn"))
    with pytest.raises(ValueError, match="as weights of fasterrcnn_tiny_fpn over 12 classes"):
        train_detector(replace(planned, teacher=wrong), tmp_path / "wrong", places(tmp_path))
    gone = replace(settings, weights=str(tmp_path / "gone.pth"))
    with pytest.raises(FileNotFoundError, match=r"teacher.weights: there is no file .*gone\.pth"):
        train_detector(replace(planned, teacher=gone), tmp_path / "gone", places(tmp_path))


def test_a_folder_belongs_to_one_recipe_and_one_teacher(tmp_path: Path) -> None:
    with pytest.raises(LostMachineError):
        train_detector(
            recipe(), tmp_path / "run", places(tmp_path), teacher=untrained_teacher(), reporter=InterruptAfter(3)
        )
    with pytest.raises(FileExistsError, match=r"run of another recipe \(seed: there 0, here 1"):
        train_detector(recipe(seed=1), tmp_path / "run", places(tmp_path), teacher=untrained_teacher())
    with pytest.raises(FileExistsError, match="trained with other material"):
        train_detector(recipe(), tmp_path / "run", places(tmp_path), teacher=untrained_teacher(seed=10))


def test_accumulated_half_batches_and_half_precision_train(tmp_path: Path) -> None:
    halved = recipe(precision="bf16", accumulate=2, epochs=1, epoch_steps=3)
    summary = train_detector(halved, tmp_path / "run", places(tmp_path), teacher=untrained_teacher())
    assert summary["last"]["train_loss"] < 100
    assert json.loads((tmp_path / "run" / "environment.json").read_text())["precision"] == "bf16"


def test_detectors_are_not_divided(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="detectors are not divided among processes; leave out --shard"):
        train_detector(alone(), tmp_path / "run", replace(places(tmp_path), shard=True))
    assert not (tmp_path / "run").exists()
