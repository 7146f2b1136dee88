"""`decant distill`: its steps, what it refuses, that it goes on, and what it leaves behind."""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from data.made_pictures import save
from decant.cli import main
from decant.engine import Places
from decant.engine.checkpoint import read_about
from decant.engine.own_pictures import OwnPictures, Wanted, distill_pictures, own_pictures_recipe
from decant.engine.teacher import Teacher
from decant.engine.useless_teacher import UselessTeacherError, refuse_beaten, refuse_chance
from decant.models import create
from decant.recipe import load_recipe
from engine.multilabel_pictures import lit_pictures
from engine.tiny import Heard, InterruptAfter, LostMachineError, contents

WANTED = Wanted(
    teacher="digits_teacher",
    student="digits_student",
    seeds=1,
    size=8,
    epochs=3,
    teacher_epochs=8,
    changes=("train.batch_size=8", "teacher.recipe.train.batch_size=8"),
)
CLASSES = ("blue", "green", "red")
TOLD_APART = ("bernoulli", "bernoulli_dkd")


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    """Pictures that a network tells apart at once: one colour each."""
    for number, name in enumerate(CLASSES):
        for place in range(16):
            colour = [40 + place, 60 - place, 50]
            colour[number] += 150
            path = tmp_path / "colours" / name / f"{place}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (12, 12), tuple(colour)).save(path)
    return tmp_path / "colours"


def run(wanted: Wanted, pictures: Path, out: Path, **changes: Any) -> tuple[OwnPictures, list[str]]:
    heard = Heard()
    places = Places(out / "teachers", pictures, "cpu")
    return distill_pictures(wanted, out, places, **{"reporter": heard, **changes}), heard.lines


def test_from_pictures_to_a_student(colours: Path, tmp_path: Path) -> None:
    before = contents(colours)
    made, lines = run(replace(WANTED, anyway=True), colours, tmp_path / "out")
    assert [line for line in lines if " of 4: " in line] == [
        "1 of 4: the pictures",
        "2 of 4: the teacher, digits_teacher",
        "3 of 4: the student, digits_student, without the teacher",
        "4 of 4: the student by dkd",
    ]
    assert [result.name for result in made.comparison.results] == ["supervised", "dkd"]
    assert made.comparison.result("dkd").settings["warmup"] == 0, "it fits the epochs"
    assert made.difference is not None
    gap = made.comparison.result("dkd").last[0] - made.comparison.result("supervised").last[0]
    assert made.difference.mean == pytest.approx(gap)
    assert made.difference.n == 9
    about = read_about(made.student)
    assert about["classes"] == list(CLASSES)
    assert (about["network"], about["sees"]["size"]) == ("digits_student", [8, 8])
    assert contents(colours) == before
    again, said = run(replace(WANTED, anyway=True, seeds=2), colours, tmp_path / "out")
    assert again.comparison.seeds == (0, 1)
    assert again.difference is None
    assert not any("trained first" in line for line in said), "what is finished is not done again"


def test_an_interrupted_call_goes_on(colours: Path, tmp_path: Path) -> None:
    wanted = replace(WANTED, anyway=True)
    whole, _ = run(wanted, colours, tmp_path / "whole")
    for batches in (7, 45):  # in the teacher, in a student
        with pytest.raises(LostMachineError):
            run(wanted, colours, tmp_path / "broken", reporter=InterruptAfter(batches))
    broken, _ = run(wanted, colours, tmp_path / "broken")
    assert broken.student.read_bytes() == whole.student.read_bytes()
    assert broken.difference == whole.difference


def test_another_teacher_in_the_same_folder_is_refused_before_it_is_trained(colours: Path, tmp_path: Path) -> None:
    wanted = replace(WANTED, anyway=True, epochs=1, teacher_epochs=1)
    run(wanted, colours, tmp_path / "out")
    with pytest.raises(FileExistsError, match=r"out/runs holds the comparison of another recipe \(teacher"):
        run(replace(wanted, teacher="digits_student"), colours, tmp_path / "out")
    assert len(list((tmp_path / "out/teachers").glob("digits*"))) == 1


def test_without_the_control(colours: Path, tmp_path: Path) -> None:
    made, lines = run(replace(WANTED, control=False, method="kd"), colours, tmp_path / "out")
    assert [result.name for result in made.comparison.results] == ["kd"]
    assert made.difference is None
    assert not any("3 of 4" in line for line in lines)


def test_a_teacher_that_is_no_better_than_chance(tmp_path: Path) -> None:
    for number, name in enumerate(("cat", "dog")):
        for place in range(12):
            save(tmp_path / "noise" / name / f"{place}.png", seed=100 * number + place)
    changes = ("teacher.recipe.train.learning_rate=1e-9", *WANTED.changes)
    with pytest.raises(UselessTeacherError, match=r"always naming the largest class has 50.00% \(up to .*--anyway"):
        run(replace(WANTED, teacher_epochs=1, changes=changes), tmp_path / "noise", tmp_path / "out")


def test_a_teacher_that_is_no_better_than_the_student(colours: Path, tmp_path: Path) -> None:
    with pytest.raises(UselessTeacherError, match="it is no better than whom it would teach"):
        # Both are right on all of these pictures.
        run(replace(WANTED, epochs=25, teacher_epochs=25), colours, tmp_path / "out")


def test_a_folder_inside_the_pictures_or_of_others_is_refused(colours: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is inside the pictures, where nothing is written"):
        run(WANTED, colours, colours / "out")
    with pytest.raises(FileExistsError, match=r"holds no comparison; remove it first"):
        run(WANTED, colours, tmp_path / "out", results=colours)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    with pytest.raises(FileExistsError, match=r"holds something else \(thesis.tex\)"):
        run(WANTED, colours, tmp_path / "mine")


def test_a_file_that_knows_the_classes_teaches_another_is_fine_tuned(tmp_path: Path) -> None:
    def saved(name: str, classes: list[str]) -> Path:
        network = create("digits_teacher", num_classes=len(classes), in_channels=3)
        about = {"decant": json.dumps({"classes": classes})}
        save_file(network.state_dict(), tmp_path / name, metadata=about)
        return tmp_path / name

    knows = own_pictures_recipe(
        replace(WANTED, changes=(), teacher_weights=saved("a.safetensors", ["x", *CLASSES])), CLASSES
    )
    assert knows.teacher is not None
    assert knows.teacher.recipe is None
    assert knows.teacher.weights == str(tmp_path / "a.safetensors")
    other = own_pictures_recipe(
        replace(WANTED, changes=(), teacher_weights=saved("b.safetensors", ["x", "y"]), teacher_epochs=10), CLASSES
    )
    assert other.teacher is not None
    tuned = other.teacher.recipe
    assert tuned is not None
    assert tuned.student.weights == str(tmp_path / "b.safetensors")
    assert (tuned.train.epochs, tuned.train.probe_epochs, tuned.train.learning_rate) == (10, 2, 0.01)


def test_a_teacher_of_other_classes_is_fine_tuned_and_teaches(colours: Path, tmp_path: Path) -> None:
    network = create("digits_teacher", num_classes=5, in_channels=3)
    save_file(network.state_dict(), tmp_path / "other.safetensors")
    wanted = replace(WANTED, teacher_weights=tmp_path / "other.safetensors", teacher_epochs=10, anyway=True)
    made, lines = run(wanted, colours, tmp_path / "out")
    (kept,) = (tmp_path / "out" / "teachers").glob("digits_teacher-pictures-*")
    rows = [json.loads(line) for line in (kept / "metrics.jsonl").read_text().splitlines()]
    assert [row["learning_rate"] for row in rows[:2]] == [0.1, 0.1], "the classifier alone"
    assert 0 < rows[5]["learning_rate"] <= 0.01
    assert made.comparison.teachers[0]["top1"] == rows[-1]["top1"]
    found = [line for line in lines if "3 classes, 39 to train on" in line]
    assert len(found) == 1, "the pictures are looked at once"


def test_pretrained_networks_see_what_they_were_trained_on() -> None:
    wanted = Wanted(teacher="torchvision/efficientnet_b0", student="torchvision/resnet18", pretrained=True)
    recipe = own_pictures_recipe(wanted, CLASSES)
    assert recipe.teacher is not None
    assert recipe.teacher.recipe is not None
    theirs = recipe.teacher.recipe.data.pictures
    assert (theirs.size, theirs.evaluation_resize, theirs.interpolation) == (224, 256, "bicubic")
    assert recipe.teacher.recipe.student.pretrained
    assert not recipe.student.pretrained
    knows = own_pictures_recipe(wanted, ("golden retriever", "tench"))
    assert knows.teacher is not None
    assert knows.teacher.pretrained
    small = own_pictures_recipe(replace(wanted, size=64), CLASSES)
    assert small.teacher is not None
    assert small.teacher.recipe is not None
    assert small.teacher.recipe.data.pictures.evaluation_resize == 74


def test_the_command(
    colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = f"decant distill {colours} --teacher digits_teacher --student digits_student --out {tmp_path / 'out'}"
    command += " --size 8 --epochs 2 --teacher-epochs 3 --seeds 1 --workers 0 --device cpu --anyway"
    command += f" --set train.batch_size=8 --set method.beta=2.0 --results {tmp_path / 'kept'}"
    monkeypatch.setattr(sys, "argv", command.split())
    threads = torch.get_num_threads()
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert torch.get_num_threads() == threads
    told = " ".join(capsys.readouterr().out.split())
    assert "This is about these two networks only" in told
    assert "No verdict: 1 seed per method" in told
    recipe = load_recipe(tmp_path / "out/runs/dkd/seed-0/recipe.json")
    assert (recipe.train.batch_size, recipe.data.pictures.size) == (8, 8)
    page = (tmp_path / "out/runs/README.md").read_text()
    asked = "decant distill PICTURES --teacher digits_teacher --student digits_student --size 8"
    assert (
        f"{asked} --epochs 2 --teacher-epochs 3 --seeds 1 --anyway --set train.batch_size=8 --set method.beta=2.0"
        in page
    )
    kept = {path.name for path in (tmp_path / "kept").rglob("*") if path.is_file()}
    assert {"README.md", "metrics.jsonl", "recipe.json"} < kept
    assert "student.safetensors" not in kept
    assert (tmp_path / "kept/README.md").read_text() == page
    assert str(tmp_path) not in page
    assert (tmp_path / "out/student.safetensors").is_file()
    card = (tmp_path / "out/model-card.md").read_text()
    assert "decant distill PICTURES --teacher digits_teacher" in card
    assert "this one is the first of dkd" in card
    assert "This is about these two networks only" in card
    assert "This is about these two networks only" in page
    assert str(tmp_path) not in card
    (tmp_path / "out/student.onnx").write_bytes(b"exported")
    (tmp_path / "out/model-card.md").write_text("my own words")
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0, "what lies beside the student is no stranger's"
    assert (tmp_path / "out/model-card.md").read_text() == "my own words"


def test_any_number_of_classes_to_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table, out = lit_pictures(tmp_path / "lit"), tmp_path / "out"
    command = f"decant distill {table} --task multilabel --teacher digits_teacher --student digits_student --out {out}"
    command += " --size 8 --epochs 3 --teacher-epochs 12 --seeds 1 --workers 0 --device cpu --anyway"
    command += " --set train.batch_size=8 --set teacher.recipe.train.batch_size=8"
    monkeypatch.setattr(sys, "argv", command.split())
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    told = " ".join(capsys.readouterr().out.split())
    assert re.search(r"mean average precision \d+\.\d\d% on \d+ test pictures", told)
    runs = {name: json.loads((out / f"runs/{name}/seed-0/summary.json").read_text()) for name in TOLD_APART}
    exact = [runs[name]["last"]["exact"] for name in TOLD_APART]
    assert f"bernoulli_dkd against bernoulli: {exact[1] - exact[0]:+.2f} [" in told
    assert "percentage points of pictures with every class right" in told
    assert read_about(out / "student.safetensors")["task"] == "multilabel"
    assert "--task multilabel" in (out / "model-card.md").read_text()


def test_a_teacher_that_orders_pictures_like_chance() -> None:
    target = (torch.rand(60, 4, generator=torch.Generator().manual_seed(1)) < 0.4).long()
    teacher = Teacher(torch.nn.Identity(), "some", "", None, map=100 * float(target.double().mean()))
    with pytest.raises(UselessTeacherError, match=r"a random order of the pictures has 4\d\.\d\d% \(up to "):
        refuse_chance(teacher, target, "mean average precision")
    refuse_chance(replace(teacher, map=80.0), target, "mean average precision")
    with pytest.raises(UselessTeacherError, match=r"mean average precision 80\.00% .* the student alone 80\.00%"):
        refuse_beaten(replace(teacher, map=80.0), 80.0, "mean average precision")
    refuse_beaten(replace(teacher, map=80.1), 80.0, "mean average precision")
