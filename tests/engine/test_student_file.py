"""A student's file is enough: network, classes, preprocessing and where it came from, without anything beside it."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from data.made_pictures import folder
from decant import load_student
from decant.data import DataSettings, ImageSet, PictureSettings, Splits, plain_batches
from decant.engine import Places, train
from decant.engine.checkpoint import save_weights
from decant.engine.record import read_summary
from decant.engine.student_file import about_student
from decant.engine.teacher import trained_student
from decant.interfaces import Method
from decant.methods import ComposedSettings, DKDSettings, KDSettings, SimKDSettings
from decant.models import Option, build_network, load_weights
from decant.recipe import NetworkSettings
from engine.tiny import CLASSES, DATA, TEACHER, places, recipe, splits


def accuracy(network: nn.Module) -> float:
    (batch,) = plain_batches(splits().test, 100)
    with torch.no_grad():
        return 100 * float((network(batch.images[0]).argmax(1) == batch.target).double().mean())


@pytest.mark.parametrize(
    "method",
    [DKDSettings(warmup=0), SimKDSettings(), ComposedSettings((SimKDSettings(), KDSettings(task_weight=0.0)))],
    ids=lambda method: method.name,
)
def test_the_file_alone_gives_what_was_evaluated(
    tmp_path: Path, method: DKDSettings | SimKDSettings | ComposedSettings
) -> None:
    train(recipe(method), tmp_path / "run", places(tmp_path))
    shutil.rmtree(tmp_path / "teachers")
    shutil.move(tmp_path / "run" / "student.safetensors", tmp_path / "moved.safetensors")
    before = torch.get_rng_state()
    student = load_student(tmp_path / "moved.safetensors")
    assert torch.equal(torch.get_rng_state(), before)
    assert not student.network.training
    assert student.classes == splits().train.classes
    last = read_summary(tmp_path / "run")["last"]
    assert accuracy(student.network) == pytest.approx(last["top1"])
    assert student.about["measured"]["top1"] == last["top1"]


def test_a_student_fitted_to_its_teachers_map_comes_back(tmp_path: Path) -> None:
    data = replace(DATA, fake_pixels=32)
    unlike = replace(recipe(SimKDSettings(factor=3), student="vgg8", epochs=1), data=data)
    taught = replace(TEACHER, student=NetworkSettings("MobileNetV2"), data=data, train=replace(TEACHER.train, epochs=1))
    assert unlike.teacher is not None
    whole = replace(unlike, teacher=replace(unlike.teacher, recipe=taught))
    train(whole, tmp_path / "run", places(tmp_path))
    student = load_student(tmp_path / "run")
    assert student.about["parts"]["simkd"]["fit"] == [2, 2]
    (batch,) = plain_batches(splits(data).test, 100)
    by_recipe = trained_student(whole, tmp_path / "run" / "student.safetensors", splits(data).train).eval()
    with torch.no_grad():
        assert torch.equal(student.network(batch.images[0]), by_recipe(batch.images[0]))


def test_it_says_how_it_was_made(tmp_path: Path) -> None:
    train(recipe(DKDSettings(beta=2.0, warmup=0), seed=3), tmp_path / "run", places(tmp_path))
    about = load_student(tmp_path / "run" / "student.safetensors").about
    made, summary = about["made"], read_summary(tmp_path / "run")
    assert (made["method"]["name"], made["method"]["beta"], made["seed"], made["epochs"]) == ("dkd", 2.0, 3, 3)
    assert (made["teacher"], made["teacher_sha256"]) == ("digits_teacher", summary["teacher"]["sha256"])
    assert made["data_sha256"] == summary["data"]
    assert made["torch"] == torch.__version__.partition("+")[0] or made["torch"] == torch.__version__
    assert about["sees"]["resize"] == 8


def test_pictures_are_resized_as_they_were(tmp_path: Path) -> None:
    data = DataSettings(name="pictures", pictures=PictureSettings(size=8, resize=10, interpolation="bicubic"))
    folder(tmp_path / "pictures", {"ä b": 6, "c": 6})
    run = replace(recipe(epochs=1), data=data)
    train(run, tmp_path / "run", Places(tmp_path / "teachers", tmp_path / "pictures", "cpu"))
    student = load_student(tmp_path / "run")
    assert student.classes == ("c", "ä b")
    seen = student.preprocess
    assert (seen.size, seen.resize, seen.interpolation, seen.channels) == (8, 10, "bicubic", 3)


@pytest.mark.parametrize(
    ("name", "options", "library"),
    [
        ("torchvision/squeezenet1_1", {}, "torchvision"),
        ("timm/resnet10t.c3_in1k", {}, "timm"),
        ("timm/vit_tiny_patch16_224", {"img_size": 32, "depth": 2}, "timm"),
        ("hf/resnet", {"embedding_size": 8, "num_channels": 3}, "transformers"),
    ],
)
def test_networks_of_other_libraries_come_back_with_their_options(
    tmp_path: Path, name: str, options: dict[str, Option], library: str
) -> None:
    pytest.importorskip(library)
    torch.manual_seed(0)
    network = build_network(name, classes=CLASSES, options=options).eval()
    run = replace(recipe(), student=NetworkSettings(name, options=options))
    saved(tmp_path / "x.safetensors", network, about_student(run, network, {}, splits().train))
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(load_student(tmp_path / "x.safetensors").network(images), network(images))


def test_a_network_of_a_folder_comes_back_without_the_folder(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.MobileNetV2Config(depth_multiplier=0.35, image_size=32, num_labels=3)
    config.save_pretrained(tmp_path / "theirs")
    name = f"hf/{tmp_path / 'theirs'}"
    network = build_network(name, classes=CLASSES).eval()
    run = replace(recipe(), student=NetworkSettings(name))
    saved(tmp_path / "x.safetensors", network, about_student(run, network, {}, splits().train))
    shutil.rmtree(tmp_path / "theirs")
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(load_student(tmp_path / "x.safetensors").network(images), network(images))


@pytest.mark.parametrize("shape", [(3, 16, 24), (2, 16, 16)], ids=["not square", "two channels"])
def test_a_student_of_images_that_no_picture_becomes_is_kept(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    target = torch.arange(32) % CLASSES
    pixels = torch.randint(0, 256, (32, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    names = tuple(f"class {number}" for number in range(CLASSES))
    channel = (0.5,) * shape[0]
    images = ImageSet(pixels, target, names, mean=channel, std=channel, name="odd")
    run = recipe(student="MobileNetV2", epochs=1)
    train(run, tmp_path / "run", places(tmp_path), splits=Splits(train=images, validation=None, test=images))
    file = tmp_path / "run" / "student.safetensors"
    with pytest.raises(ValueError, match=r"does not say how a picture becomes .* decant\.models\.build_network"):
        load_student(file)
    network = build_network("MobileNetV2", classes=CLASSES, channels=shape[0]).eval()
    load_weights(network, file)
    (batch,) = plain_batches(images, 32)
    with torch.no_grad():
        top1 = 100 * float((network(batch.images[0]).argmax(1) == batch.target).double().mean())
    assert top1 == pytest.approx(read_summary(tmp_path / "run")["last"]["top1"])


class Strange(Method):
    """Puts something into its student and does not say what."""

    def forward(self, *_: object) -> dict[str, Tensor]:
        return {}

    def weights(self, _: float) -> dict[str, float]:
        return {}

    def deployed(self, student: nn.Module) -> nn.Module:
        return nn.Sequential(student, nn.Linear(CLASSES, CLASSES))


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(ValueError, match=r"does not say what it is \(no network, options, classes, sees in its header"):
        load_student(tmp_path / "foreign.safetensors")
    with pytest.raises(FileNotFoundError, match=r"there is no .*student\.safetensors"):
        load_student(tmp_path)
    saved(tmp_path / "boxes.safetensors", nn.Linear(1, 1), {"task": "detection", "classes": ["a"]})
    with pytest.raises(ValueError, match="is a detector's"):
        load_student(tmp_path / "boxes.safetensors")
    network = build_network("digits_student", classes=CLASSES)
    about = about_student(recipe(), network, Strange().deployed_parts(), splits().train)
    saved(tmp_path / "strange.safetensors", network, about)
    with pytest.raises(ValueError, match="parts of Strange, which does not say"):
        load_student(tmp_path / "strange.safetensors")


def saved(path: Path, network: nn.Module, about: dict[str, object]) -> None:
    save_weights(path, network.state_dict(), {"decant": json.dumps(about)})
