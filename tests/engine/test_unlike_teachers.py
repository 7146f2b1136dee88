"""Teachers of a recipe that are unlike their student: other pixels, other classes, several; and networks that start."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from data.made_pictures import folder
from decant.data import DataSettings, PictureSettings
from decant.engine import Places, find_teacher, load_data, train
from decant.engine.checkpoint import read_about
from decant.engine.judge import evaluate_run
from decant.engine.teacher import fresh_student
from decant.engine.training import Training, own_random_state
from decant.interfaces import MethodSettings
from decant.methods import DKDSettings, FitNetSettings, SDDSettings, SimKDSettings
from decant.models import FoldedClasses, Resighted, build_network, create
from decant.recipe import NetworkSettings, Recipe, SightSettings, TeacherSettings, TrainSettings
from engine.tiny import DATA, Heard, on_cpu, splits, weights_of
from engine.tiny import recipe as tiny_recipe

PICTURES = DataSettings(name="pictures", pictures=PictureSettings(size=8, test=0.25))
TRAIN = TrainSettings(epochs=1, batch_size=8, learning_rate=0.05)
ALONE = Recipe(student=NetworkSettings("digits_student"), data=PICTURES, train=TRAIN)


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    return folder(tmp_path / "pets", {"cat": 8, "dog": 8, "eel": 8})


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    return folder(tmp_path / "zoo", {"ape": 8, "cat": 8, "dog": 8, "eel": 8})


def places(data: Path) -> Places:
    return Places(teachers=data.parent / "teachers", data=data, device="cpu")


def taught(teacher: TeacherSettings, **changes: Any) -> Recipe:
    return replace(ALONE, teacher=teacher, method=DKDSettings(warmup=0), **changes)


def found(recipe: Recipe, data: Path) -> tuple[Any, list[str]]:
    heard = Heard()
    teacher = find_teacher(recipe, load_data(recipe, places(data)), places(data), reporter=heard)
    assert teacher is not None
    return teacher, heard.lines


def test_a_teacher_that_was_trained_on_larger_pictures(pets: Path, tmp_path: Path) -> None:
    larger = replace(PICTURES, pictures=replace(PICTURES.pictures, size=16, mean=(0.5,) * 3))
    recipe = taught(TeacherSettings(recipe=replace(ALONE, student=NetworkSettings("digits_teacher"), data=larger)))
    for method in (DKDSettings(warmup=0), FitNetSettings()):
        heard = Heard()
        summary = train(replace(recipe, method=method), tmp_path / method.name, places(pets), reporter=heard)
        assert summary["teacher"]["top1"] is not None
    teacher, lines = found(recipe, pets)
    assert isinstance(teacher.network, Resighted)
    assert teacher.network.size == (16, 16)
    assert any("sees 16x16 pixels (mean 0.5/0.5/0.5" in line for line in lines)


def test_a_student_that_was_saved_says_what_it_saw_and_over_which_classes(zoo: Path, pets: Path) -> None:
    larger = replace(ALONE, data=replace(PICTURES, pictures=replace(PICTURES.pictures, size=16)))
    train(larger, zoo.parent / "run", places(zoo))
    saved = zoo.parent / "run" / "student.safetensors"
    about = read_about(saved)
    assert about["classes"] == ["ape", "cat", "dog", "eel"]
    assert about["sees"]["size"] == [16, 16]
    recipe = taught(TeacherSettings(name="digits_student", weights=str(saved)))
    teacher, lines = found(recipe, pets)
    assert isinstance(teacher.network, FoldedClasses)
    assert isinstance(teacher.network.network, Resighted)
    assert any("1 of its 4 classes have no counterpart and are left out: ape" in line for line in lines)
    train(recipe, pets.parent / "taught", places(pets))
    renamed = TeacherSettings(name="digits_student", weights=str(saved), rename={"ape": "cat"})
    other, _ = found(taught(renamed), pets)
    assert other.network.network is not None
    assert other.sha256 != teacher.sha256, "what it is asked decides what it teaches"
    train(larger, pets.parent / "other", places(pets))
    fewer = TeacherSettings(name="digits_student", weights=str(pets.parent / "other" / "student.safetensors"))
    with pytest.raises(ValueError, match="the teacher has no class 'ape'"):
        found(taught(fewer), zoo)


@pytest.mark.parametrize("method", [SimKDSettings(), DKDSettings(warmup=0)])
def test_a_student_is_built_again_for_the_teacher_whose_file_says_what_it_saw(
    method: SimKDSettings | DKDSettings, pets: Path
) -> None:
    train(ALONE, pets.parent / "small", places(pets))
    saved = pets.parent / "small" / "student.safetensors"
    assert read_about(saved)["sees"]["size"] == [8, 8]
    larger = replace(PICTURES, pictures=replace(PICTURES.pictures, size=16))
    recipe = replace(taught(TeacherSettings(name="digits_student", weights=str(saved)), data=larger), method=method)
    last = train(recipe, pets.parent / "run", places(pets))["last"]

    def judged() -> float:
        return evaluate_run(pets.parent / "run", places(pets)).score.loss

    assert judged() == pytest.approx(last["loss"], rel=1e-6)
    saved.unlink()
    if isinstance(method, SimKDSettings):
        with pytest.raises(
            FileNotFoundError, match=r"there is no file .* \(teacher\.weights\): simkd puts parts into its"
        ):
            judged()
    else:
        assert judged() == pytest.approx(last["loss"], rel=1e-6), "this student is what it would be with any teacher"


def test_a_teacher_that_is_like_its_student_is_left_alone(pets: Path) -> None:
    recipe = taught(TeacherSettings(recipe=replace(ALONE, student=NetworkSettings("digits_teacher"))))
    teacher, lines = found(recipe, pets)
    assert not isinstance(teacher.network, Resighted | FoldedClasses)
    assert teacher.notes == ()
    assert not any("evaluated" in line or ", top-1" in line for line in lines), "its own run says how good it is"


def test_channels_in_the_other_order(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = create("digits_teacher", num_classes=8, in_channels=3).eval()
    save_file(network.state_dict(), tmp_path / "bgr.safetensors")
    settings = TeacherSettings(
        name="digits_teacher", weights=str(tmp_path / "bgr.safetensors"), sees=SightSettings(channels="bgr")
    )
    recipe = replace(tiny_recipe(DKDSettings()), teacher=settings)
    teacher = find_teacher(recipe, splits(DATA), Places(teachers=tmp_path, device="cpu"))
    assert teacher is not None
    images = torch.randn(3, 3, 8, 8)
    assert torch.equal(teacher.network(images), network(images.flip(1)))
    train(recipe, tmp_path / "run", Places(teachers=tmp_path, device="cpu"))


def test_several_teachers(pets: Path) -> None:
    first, second = (replace(ALONE, student=NetworkSettings("digits_teacher"), seed=seed) for seed in (1, 2))
    recipe = taught(TeacherSettings(recipe=first, share=3.0, also=(TeacherSettings(recipe=second),)))
    teacher, _ = found(recipe, pets)
    assert teacher.name == "digits_teacher + digits_teacher"
    assert teacher.top1 is not None
    one, other = (found(taught(TeacherSettings(recipe=single)), pets)[0] for single in (first, second))
    images = torch.randn(4, 3, 8, 8)
    expected = 0.75 * one.network(images).softmax(1) + 0.25 * other.network(images).softmax(1)
    assert torch.allclose(teacher.network(images).softmax(1), expected, atol=1e-6)
    train(recipe, pets.parent / "run", places(pets))
    swapped = taught(TeacherSettings(recipe=second, share=3.0, also=(TeacherSettings(recipe=first),)))
    assert found(swapped, pets)[0].sha256 != teacher.sha256


@pytest.mark.parametrize("method", [FitNetSettings(), SimKDSettings(), SDDSettings()])
def test_several_teachers_that_a_method_cannot_learn_from_are_not_trained_first(
    method: MethodSettings, tmp_path: Path
) -> None:
    first, second = (TeacherSettings(recipe=replace(tiny_recipe(), seed=seed)) for seed in (1, 2))
    recipe = replace(tiny_recipe(method), teacher=replace(first, also=(second,)))
    with pytest.raises(ValueError, match=rf"{method.name} needs the teacher's features .* the teacher names none"):
        train(recipe, tmp_path / "run", Places(teachers=tmp_path / "teachers", device="cpu"), announce=False)
    assert not list(tmp_path.iterdir())
    # Its inner networks can be named, and the student is found again by the same names.
    named = replace(recipe, teacher=replace(first, also=(second,), taps={"stage2": "networks.1.relu2"}))
    if isinstance(method, FitNetSettings):
        assert (
            fresh_student(named, splits(DATA).train).state_dict().keys() == create("digits_student").state_dict().keys()
        )


def test_pretrained_weights_teach_over_the_classes_that_they_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.models import SqueezeNet1_1_Weights

    theirs = build_network("torchvision/squeezenet1_1", classes=1000).state_dict()
    monkeypatch.setattr(SqueezeNet1_1_Weights, "get_state_dict", lambda *_, **__: theirs)
    data = folder(tmp_path / "known", {"golden retriever": 6, "tench": 6}, size=(40, 40))
    small = replace(PICTURES, pictures=PictureSettings(size=40, test=0.34))
    recipe = taught(TeacherSettings(name="torchvision/squeezenet1_1", pretrained=True), data=small)
    teacher, lines = found(recipe, data)
    assert any("sees 224x224 pixels" in line for line in lines)
    assert any("998 of its 1000 classes have no counterpart" in line for line in lines)
    assert teacher.network(torch.zeros(2, 3, 40, 40)).shape == (2, 2)
    with pytest.raises(ValueError, match=r"the teacher has no class 'cat', 'dog' \(2 of 3\)"):
        found(recipe, folder(tmp_path / "unknown", {"cat": 6, "dog": 6, "eel": 6}))


def test_a_student_starts_from_a_file(pets: Path, zoo: Path) -> None:
    train(ALONE, zoo.parent / "zoo-run", places(zoo))
    start = zoo.parent / "zoo-run" / "student.safetensors"
    recipe = replace(ALONE, student=NetworkSettings("digits_student", weights=str(start)))
    with own_random_state(torch.device("cpu")):
        student = Training(recipe, load_data(recipe, places(pets)), None, on_cpu()).distiller.student
    theirs = load_file(start)
    differing = {key for key, value in student.state_dict().items() if not torch.equal(value, theirs[key])}
    assert differing == {"classifier.weight", "classifier.bias"}
    train(recipe, pets.parent / "run", places(pets))
    assert weights_of(pets.parent / "run")["classifier.bias"].shape == (3,)


def test_a_network_of_a_library_trains_and_is_evaluated_again(pets: Path, tmp_path: Path) -> None:
    data = replace(PICTURES, pictures=PictureSettings(size=32, test=0.25))
    recipe = replace(ALONE, student=NetworkSettings("torchvision/squeezenet1_1", options={"dropout": 0.1}), data=data)
    teacher = TeacherSettings(recipe=recipe)
    summary = train(replace(taught(teacher), data=data), tmp_path / "run", places(pets))
    assert summary["teacher"]["name"] == "torchvision/squeezenet1_1"
    (kept,) = (tmp_path / "teachers").glob("torchvision-squeezenet1_1-pictures-*")
    assert evaluate_run(kept, places(pets)).score.top1 == summary["teacher"]["top1"]
    assert isinstance(build_network("torchvision/squeezenet1_1", classes=3), nn.Module)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"name": "resnet8"}, r"by `name` and `weights` together \(or `pretrained`\)"),
        ({"name": "resnet8", "weights": "a", "pretrained": True}, "a teacher is given by"),
        ({"name": "resnet8", "weights": "a", "share": 0.0}, "share is a finite number above 0"),
        ({"name": "resnet8", "weights": "a", "sees": SightSettings(channels="bgr"), "recipe": ALONE}, "is given by"),
    ],
)
def test_settings_refuse(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TeacherSettings(**wrong)


def test_the_teacher_may_not_have_seen_the_test_pictures() -> None:
    other = replace(ALONE, data=replace(PICTURES, pictures=replace(PICTURES.pictures, test=0.1)))
    with pytest.raises(ValueError, match="the student's test pictures would be among the teacher's training pictures"):
        taught(TeacherSettings(recipe=other))
    with pytest.raises(ValueError, match="mean and std are given together"):
        SightSettings(mean=(0.5,))
