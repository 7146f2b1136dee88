"""Features by module path in a recipe: which ones a method reads, what is refused, and what old recipes still mean."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from decant.engine import train
from decant.engine.shapes import taps_of
from decant.engine.teacher import teacher_folder
from decant.engine.training import Training, refuse_early
from decant.methods import ATSettings, FitNetSettings, SupervisedSettings
from decant.models import Tapped
from decant.recipe import Recipe, RecipeError, load_recipe, recipe_from_dict, recipe_to_dict, shipped_recipes
from engine.tiny import on_cpu, places, recipe, splits, untrained_teacher
from recipe.files import distilled

RESULTS = Path(__file__).parents[2] / "results"


def tapped(base: Recipe, student: dict[str, str] | None = None, teacher: dict[str, str] | None = None) -> Recipe:
    assert base.teacher is not None
    return replace(
        base,
        student=replace(base.student, taps=student or {}),
        teacher=replace(base.teacher, taps=teacher or {}),
    )


def training(recipe: Recipe) -> Training:
    return Training(recipe, splits(), untrained_teacher(), on_cpu())


def test_a_method_reads_the_features_that_the_recipe_names() -> None:
    made = training(tapped(recipe(ATSettings()), {"stage1": "relu2"}, {"stage1": "relu1"}))
    assert made.distiller.method.taps == ("stage1",)
    assert made.distiller._student.taps == {"stage1": "relu2"}
    assert made.distiller._teacher[0].taps == {"stage1": "relu1"}
    assert taps_of(made.distiller.student)["stage1"] == "relu1", "not the network's own"


def test_folding_leaves_a_feature_of_the_recipe_what_it_was() -> None:
    inside = {"stage2": "block2.0"}  # a convolution, into which the BatchNorm after it would be folded
    teacher = untrained_teacher()
    for buffer in (buffer for name, buffer in teacher.network.named_buffers() if name.endswith("running_var")):
        buffer.fill_(4.0)
    made = Training(tapped(recipe(FitNetSettings()), teacher=inside), splits(), teacher, on_cpu())
    images = next(made.batches(0)).images[0]
    expected = Tapped(teacher.network, inside)(images).taps["stage2"]
    torch.testing.assert_close(made.distiller._teacher[0](images).taps["stage2"], expected)


def test_without_any_the_networks_say_it_themselves() -> None:
    plain, named = training(recipe(FitNetSettings())), training(tapped(recipe(FitNetSettings()), {"stage2": "relu2"}))
    assert plain.distiller._student.taps == named.distiller._student.taps == {"stage2": "relu2"}
    for batch_plain, batch_named in zip(plain.batches(0), named.batches(0), strict=True):
        losses = [
            each.distiller(batch.images, batch.target, index=batch.index, epoch=0.0).loss
            for each, batch in ((plain, batch_plain), (named, batch_named))
        ]
        assert losses[0] == losses[1]


def test_networks_of_unlike_depth_meet_where_the_recipe_pairs_them(tmp_path: Path) -> None:
    unlike = recipe(ATSettings(), student="resnet8")
    with pytest.raises(
        ValueError, match=r"student has stage1, stage2, stage3 and the teacher stage1, stage2; .*student\.taps"
    ):
        training(unlike)
    paired = tapped(unlike, {"stage1": "layer2", "stage2": "layer3"})
    summary = train(paired, tmp_path / "run", places(tmp_path), teacher=untrained_teacher(), announce=False)
    assert summary["finished"]
    assert load_recipe(tmp_path / "run" / "recipe.json") == paired
    with pytest.raises(FileExistsError, match=r"student\.taps\.stage1: there 'layer2', here 'layer1'"):
        train(tapped(unlike, {"stage1": "layer1", "stage2": "layer3"}), tmp_path / "run", places(tmp_path))


@pytest.mark.parametrize("role", ["student", "teacher"])
def test_a_wrong_path_is_told_with_its_neighbours_before_the_teacher_is_trained(role: str, tmp_path: Path) -> None:
    wrong = tapped(recipe(ATSettings()), **{role: {"stage1": "relu3"}})
    with pytest.raises(
        ValueError, match=rf"^{role}\.taps: tap 'stage1': the network has no module 'relu3'; nearest: 'relu"
    ):
        refuse_early(wrong, splits(), places(tmp_path), on_cpu())


def test_a_feature_that_is_not_named_is_asked_for() -> None:
    with pytest.raises(
        ValueError,
        match=r"fitnet needs the student's features \['stage2'\], but the student names \['deep'\]; give student\.taps",
    ):
        training(tapped(recipe(FitNetSettings()), {"deep": "relu2"}))


@pytest.mark.parametrize(
    ("taps", "fault"),
    [
        ({"stage1": 3}, "student.taps.stage1: input should be a valid string, got 3"),
        (["layer1"], "student.taps: input should be an object, got ['layer1']"),
    ],
)
def test_taps_are_names_and_paths(taps: object, fault: str) -> None:
    with pytest.raises(RecipeError) as caught:
        recipe_from_dict(distilled(student={"name": "resnet8x4", "taps": taps}))
    assert caught.value.faults == (fault,)


def test_recipes_from_before_taps_are_what_they_were() -> None:
    values = recipe_to_dict(recipe(SupervisedSettings()))
    del values["student"]["taps"]
    assert recipe_from_dict(values) == recipe(SupervisedSettings())


def test_the_teachers_of_the_results_are_found() -> None:
    kept = [path.parent for path in (RESULTS / "teachers").glob("*/recipe.json")]
    assert kept
    for folder in kept:
        assert "taps" not in json.loads((folder / "recipe.json").read_text())["student"], "from before there were any"
        assert teacher_folder(RESULTS / "teachers", load_recipe(folder / "recipe.json")) == folder
    assert teacher_folder(RESULTS / "teachers", load_recipe(shipped_recipes()["quick/resnet20"])) in kept
