"""What a detection recipe refuses, and the recipes that come along."""

from pathlib import Path
from typing import Any

import pytest

from decant.detection import DETECTION_METHODS, PyramidReviewKDSettings, RCNNDistiller, RegionDKDSettings
from decant.detection.builders import create_detector
from decant.detection.data_settings import DetectionDataSettings, load_pictures
from decant.detection.pretrained import torchvision_detector, trained_backbone
from decant.detection.recipe import DetectionRecipe
from decant.recipe import (
    MultiStep,
    RecipeError,
    load_as,
    recipe_as,
    recipe_hash,
    recipe_to_dict,
    shipped_recipes,
    task_of,
)

SHIPPED = {name: path for name, path in shipped_recipes().items() if task_of(path) == "detection"}
PAPER = {"r101-r18": 1.2, "r101-r50": 1.0, "r50-mv2": 2.0}
SMALL = ("student", "kd", "dkd", "reviewkd", "dkd+reviewkd")

LEAST: dict[str, Any] = {
    "task": "detection",
    "student": {"name": "fasterrcnn_tiny_fpn"},
    "data": {"name": "shapes"},
}
TAUGHT = {**LEAST, "teacher": {"recipe": LEAST}, "method": [{"name": "dkd"}, {"name": "reviewkd"}]}


def faults(values: dict[str, Any]) -> tuple[str, ...]:
    with pytest.raises(RecipeError) as caught:
        recipe_as(DetectionRecipe, values)
    return caught.value.faults


def test_a_recipe_comes_back_from_json() -> None:
    recipe = recipe_as(DetectionRecipe, TAUGHT)
    assert recipe.methods == "dkd+reviewkd"
    assert recipe_as(DetectionRecipe, recipe_to_dict(recipe)) == recipe
    assert recipe_hash(recipe) != recipe_hash(recipe_as(DetectionRecipe, LEAST))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"student": {"name": "fasterrcnn_tny_fpn"}},
            "student: there is no detector 'fasterrcnn_tny_fpn'; did you mean",
        ),
        ({"method": [{"name": "dkd", "betta": 1.0}]}, "method.0.betta: no such setting; did you mean 'beta'?"),
        ({"method": [{"name": "dkd"}, {"name": "revewkd"}]}, "there is no 'revewkd'; did you mean 'reviewkd'?"),
        ({"method": [{"name": "dkd", "beta": -1.0}]}, "beta must be a finite number of at least 0, got -1.0"),
        ({"method": []}, "teacher is given, method is missing"),
        ({"method": [{"name": "kd"}, {"name": "kd"}]}, "each method is used once, but kd"),
        ({"data": {"name": "mine"}}, "no data set is known as 'mine' (shapes, coco"),
        ({"data": {"name": "coco", "train": {"pictures": "a", "annotations": "b"}}}, "coco is known by its name"),
        (
            {"data": {"name": "mine", "train": {"pictures": "/a", "annotations": "b"}, "test": None}},
            "a recipe's paths are below the folder of the data sets",
        ),
        ({"train": {"epoch_steps": 0}}, "epoch_steps is at least 1"),
        ({"train": {"learning_rate": -1.0}}, "learning_rate must be a finite number above 0"),
        ({"teacher": {"weights": "a.pth"}}, "a teacher is given by `recipe`, or by `detector` and `weights`"),
        ({"student": {"name": "fasterrcnn_tiny_fpn", "min_size": [64], "max_size": 32}}, "max_size 32 is smaller"),
        ({"seed": -1}, "seed must be from 0"),
    ],
)
def test_a_fault_is_named(changes: dict[str, Any], message: str) -> None:
    assert any(message in fault for fault in faults({**TAUGHT, **changes})), faults({**TAUGHT, **changes})


def test_a_recipe_of_images_is_not_one_of_detectors(tmp_path: Path) -> None:
    (tmp_path / "images.toml").write_text('[student]\nname = "digits_student"\n[data]\nname = "digits"\n')
    with pytest.raises(RecipeError, match="this is a recipe of classification, but what was asked for"):
        load_as(DetectionRecipe, tmp_path / "images.toml")


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_recipe_loads_and_says_what_it_is(name: str) -> None:
    recipe = load_as(DetectionRecipe, SHIPPED[name])
    lines = SHIPPED[name].read_text().splitlines()
    assert lines[0].startswith("# ")
    assert any(f"decant train {name}" in line for line in lines)
    for settings in recipe.method:
        assert isinstance(settings, DETECTION_METHODS[settings.name])
    if recipe.student.name.startswith("fasterrcnn_tiny") and recipe.teacher is not None:
        assert recipe.teacher.recipe is not None
        made = [create_detector(each.student.name, num_classes=4) for each in (recipe, recipe.teacher.recipe)]
        RCNNDistiller(made[0], made[1], recipe.method)


@pytest.mark.parametrize("pair", PAPER)
@pytest.mark.parametrize("kind", ["dkd", "dkd+reviewkd"])
def test_the_paper_s_recipes_have_its_schedule(kind: str, pair: str) -> None:
    recipe = load_as(DetectionRecipe, SHIPPED[f"coco/{kind}/fasterrcnn-{pair}"])
    train = recipe.train
    assert (train.epochs * (train.epoch_steps or 0), train.batch_size, train.learning_rate) == (180_000, 8, 0.01)
    assert train.schedule == MultiStep(milestones=(120, 160), factor=0.1, warmup=1.0)
    wanted: tuple[Any, ...] = (RegionDKDSettings(alpha=1.0, beta=0.25, temperature=1.0),)
    if kind == "dkd+reviewkd":
        wanted += (PyramidReviewKDSettings(weight=PAPER[pair]),)
    assert recipe.method == wanted
    assert recipe.teacher is not None
    assert recipe.teacher.recipe is not None
    assert recipe.student.trained_backbone == recipe.teacher.recipe.student.trained_backbone == "IMAGENET1K_V1"
    assert recipe.student.min_size == recipe.teacher.recipe.student.min_size == (640, 672, 704, 736, 768, 800)


@pytest.mark.parametrize("data", ["shapes", "bccd", "foda"])
def test_small_students_have_one_budget(data: str) -> None:
    recipes = [load_as(DetectionRecipe, SHIPPED[f"detection/{data}/{name}"]) for name in SMALL]
    assert len({recipe_hash_without_method(recipe) for recipe in recipes}) == 1
    assert ["+".join(each.name for each in recipe.method) or "student" for recipe in recipes] == list(SMALL)


def recipe_hash_without_method(recipe: DetectionRecipe) -> str:
    values = recipe_to_dict(recipe)
    return str({**values, "method": None, "teacher": None})


def test_files_of_one_s_own(tmp_path: Path) -> None:
    from detection.test_formats import coco, voc

    coco(tmp_path / "pets")
    part = {"pictures": "pets/images", "annotations": "pets/instances.json"}
    values = {**LEAST, "data": {"name": "pets", "train": part, "test": part, "empty_pictures": False}}
    splits = load_pictures(recipe_as(DetectionRecipe, values).data, tmp_path)
    assert (len(splits.train), len(splits.test)) == (1, 2)
    assert splits.remarks[0] == "training pictures, pets: 1 boxes of crowds, which are not trained on"
    assert splits.judged == "training"
    assert splits.remarks[-1].startswith("2 of the 2 test pictures are trained on too")
    coco(tmp_path / "other")
    other = {"pictures": "other/images", "annotations": "other/instances.json"}
    apart = load_pictures(
        recipe_as(DetectionRecipe, {**LEAST, "data": {"name": "pets", "train": part, "test": other}}).data, tmp_path
    )
    assert (apart.judged, len(apart.remarks)) == ("test", len(splits.remarks) - 1)
    voc(tmp_path / "farm")
    listed = {"pictures": "farm", "annotations": "train"}
    values = {**LEAST, "data": {"name": "farm", "format": "voc", "train": listed, "test": listed}}
    assert load_pictures(recipe_as(DetectionRecipe, values).data, tmp_path).train.classes == ("cow", "sheep")
    with pytest.raises(ValueError, match="say where the data sets are"):
        load_pictures(DetectionDataSettings("bccd"), None)
    mixed = {"name": "both", "train": part, "test": {"pictures": "pets/images", "annotations": "pets/other.json"}}
    text = (tmp_path / "pets" / "instances.json").read_text().replace('"dog"', '"wolf"')
    (tmp_path / "pets" / "other.json").write_text(text)
    with pytest.raises(ValueError, match=r"must have the same classes; they differ in \['dog', 'wolf'\]"):
        load_pictures(recipe_as(DetectionRecipe, {**LEAST, "data": mixed}).data, tmp_path)


def test_torchvisions_weights_are_fetched_only_when_asked_for(tmp_path: Path) -> None:
    import torch
    import torchvision

    with pytest.raises(FileNotFoundError, match=r"resnet18-f37072fd.pth.*\(--download\)"):
        trained_backbone("fasterrcnn_resnet18_fpn", "IMAGENET1K_V1", tmp_path, download=False)
    torch.save(torchvision.models.resnet18().state_dict(), tmp_path / "resnet18-f37072fd.pth")
    state = trained_backbone("fasterrcnn_resnet18_fpn", "IMAGENET1K_V1", tmp_path, download=False)
    assert create_detector("fasterrcnn_resnet18_fpn", num_classes=2, trained_backbone=state) is not None
    with pytest.raises(ValueError, match="no weights 'V9' for resnet18; there are: IMAGENET1K_V1"):
        trained_backbone("fasterrcnn_resnet18_fpn", "V9", tmp_path, download=False)
    with pytest.raises(ValueError, match="has no trained backbone"):
        trained_backbone("fasterrcnn_tiny_fpn", "IMAGENET1K_V1", tmp_path, download=False)
    with pytest.raises(ValueError, match="did you mean 'fasterrcnn_resnet50_fpn'"):
        torchvision_detector("fasterrcnn_resnet5_fpn", tmp_path, download=False)
    with pytest.raises(FileNotFoundError, match="fasterrcnn_mobilenet_v3_large_320_fpn"):
        torchvision_detector("fasterrcnn_mobilenet_v3_large_320_fpn", tmp_path, download=False)
