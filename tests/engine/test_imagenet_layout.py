"""ImageNet's layout, train/n01440764 and val/n01440764, under the shipped recipes and a pretrained teacher."""

from pathlib import Path

import pytest
import torch

from data.made_pictures import folder
from decant.engine import Places, train
from decant.engine.run import find_teacher, load_data
from decant.models import FoldedClasses, build_network
from decant.recipe import Recipe, find_recipe, load_recipe
from engine.tiny import Heard, rows_of

SYNSETS = ("n01440764", "n02119789", "n04285008")
"""A tench, a kit fox and a sports car, which are the classes 0, 278 and 817 of the published networks."""


@pytest.fixture
def imagenet(tmp_path: Path) -> Path:
    root = tmp_path / "imagenet"
    folder(root / "train", dict.fromkeys(SYNSETS, 6))
    folder(root / "val", dict.fromkeys(SYNSETS, 2))
    return root


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """A shipped recipe, whose teacher's weights lie at hand, on small images and for one epoch."""
    from torchvision.models import ResNet34_Weights

    torch.manual_seed(0)
    theirs = build_network("torchvision/resnet34", classes=1000).state_dict()
    monkeypatch.setattr(ResNet34_Weights, "get_state_dict", lambda *_, **__: theirs)
    changes = ["data.pictures={size = 32, resize = 36}", "teacher.sees={size = 32}", "train.epochs=1"]
    return load_recipe(find_recipe("imagenet/dkd/resnet34-resnet18"), [*changes, "train.batch_size=6"])


def test_a_pretrained_teacher_is_asked_by_wordnet_number(imagenet: Path, small: Recipe, tmp_path: Path) -> None:
    places, heard = Places(tmp_path / "teachers", imagenet, "cpu"), Heard()
    splits = load_data(small, places, heard)
    assert splits.train.classes == SYNSETS
    assert (splits.train.size, splits.test.size) == (18, 6)
    teacher = find_teacher(small, splits, places, reporter=heard)
    assert teacher is not None
    assert isinstance(teacher.network, FoldedClasses)
    assert teacher.network.get_buffer("kept").tolist() == [0, 278, 817]
    assert any("997 of its 1000 classes have no counterpart" in line for line in heard.lines)


def test_a_shipped_recipe_trains(imagenet: Path, small: Recipe, tmp_path: Path) -> None:
    train(small, tmp_path / "run", Places(tmp_path / "teachers", imagenet, "cpu"), announce=False)
    (row,) = rows_of(tmp_path / "run")
    assert row["terms"].keys() == {"hard", "tckd", "nckd"}
    assert row["samples"] == 6
