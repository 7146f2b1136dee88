"""Who is right about what, counted; and only ever about what a run was judged on, with the teacher that it had."""

import base64
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from decant.engine import train
from decant.evidence import Run, read_run
from decant.methods import DKDSettings, SupervisedSettings
from decant.report.beside_teacher import Onlooker, beside
from engine.tiny import contents, places, recipe
from report.staged import HOSTILE, STUDENT_SAYS, TEACHER_SAYS, images, predictions


def test_every_image_is_counted_once_by_who_is_right() -> None:
    found = beside(predictions(STUDENT_SAYS), predictions(TEACHER_SAYS), images())
    assert [(one.name, one.images) for one in found.classes] == [(HOSTILE, 2), ("cat & dog", 2), ("c", 2)]
    counts = [(one.both, one.teacher_alone, one.student_alone, one.neither, one.same_answer) for one in found.classes]
    assert counts == [(1, 1, 0, 0, 1), (1, 0, 1, 0, 1), (1, 0, 0, 1, 1)]


def test_pictures_are_the_surest_of_their_kind_pixel_by_pixel() -> None:
    six = images()
    found = beside(predictions(STUDENT_SAYS), predictions(TEACHER_SAYS), six)
    shown = {
        kind: [(one.index, one.teacher.name, one.student.name) for one in row] for kind, row in found.pictures.items()
    }
    assert shown == {
        "the teacher is right, the student is not": [(1, HOSTILE, "cat & dog")],
        "the student is right, the teacher is not": [(3, "c", "cat & dog")],
        "both are wrong, and differ": [(4, HOSTILE, "cat & dog")],
    }
    (picture,) = found.pictures["both are wrong, and differ"]
    png = Image.open(io.BytesIO(base64.b64decode(picture.source.removeprefix("data:image/png;base64,"))))
    assert np.array_equal(np.asarray(png), six.images[4].permute(1, 2, 0).numpy())
    assert picture.student.confidence == pytest.approx(float(np.exp(5) / (np.exp(5) + 2)))


def test_surer_pictures_come_first_and_not_more_than_eight() -> None:
    many = images()
    index = torch.arange(6).repeat(3)
    more = many.subset(index, "more")
    student, teacher = predictions(STUDENT_SAYS), predictions(TEACHER_SAYS)
    wrong = torch.tensor([1, 2, 0])[more.target]
    logits = torch.nn.functional.one_hot(wrong, 3).float() * torch.arange(1, 19.0)[:, None] / 4
    right = torch.nn.functional.one_hot(more.target, 3).float() * 5
    student, teacher = (
        replace(student, logits=logits, target=more.target),
        replace(teacher, logits=right, target=more.target),
    )
    (row, *_) = beside(student, teacher, more).pictures.values()
    assert [one.index for one in row] == list(range(17, 9, -1))


def test_calibration_and_correlation_are_those_of_the_logits() -> None:
    same = beside(predictions(STUDENT_SAYS), predictions(STUDENT_SAYS), images())
    assert same.correlation[1] == 0
    assert same.student == same.teacher
    confidence = np.exp(4 + np.arange(6) / 4) / (np.exp(4 + np.arange(6) / 4) + 2)
    assert sum(np.multiply(same.student.confidence, same.student.share)) == pytest.approx(confidence.mean())
    assert sum(np.multiply(same.student.accuracy, same.student.share)) == pytest.approx(4 / 6)


def test_answers_to_other_images_are_refused() -> None:
    fewer = replace(predictions(STUDENT_SAYS), target=torch.zeros(6, dtype=torch.int64))
    with pytest.raises(ValueError, match="expected answers of both networks to all 6 images"):
        beside(fewer, predictions(TEACHER_SAYS), images())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of a student alone and of one with a teacher."""
    folder = tmp_path_factory.mktemp("runs")
    for name, method in (("supervised", SupervisedSettings()), ("dkd", DKDSettings(warmup=0))):
        train(recipe(method), folder / name, places(folder))
    return folder


def test_the_networks_say_what_the_run_logged(trained: Path) -> None:
    """Right answers and agreement are those of metrics.jsonl; nothing in the folder changes."""
    run = read_run(trained / "dkd")
    before = contents(trained)
    found = Onlooker(places(trained)).look(run, run)
    last = run.metrics[-1]
    size = sum(one.images for one in found.classes)
    right = sum(one.both + one.student_alone for one in found.classes)
    assert 100 * right / size == pytest.approx(last["top1"])
    assert 100 * sum(one.same_answer for one in found.classes) / size == pytest.approx(last["agreement"])
    assert contents(trained) == before


def test_a_student_alone_is_held_against_the_teacher_of_the_others(trained: Path) -> None:
    alone, taught = read_run(trained / "supervised"), read_run(trained / "dkd")
    found = Onlooker(places(trained)).look(alone, taught)
    size = sum(one.images for one in found.classes)
    assert 100 * sum(one.both + one.student_alone for one in found.classes) / size == pytest.approx(alone.last_score)


def test_a_network_is_asked_once(trained: Path) -> None:
    onlooker, run = Onlooker(places(trained)), read_run(trained / "dkd")
    assert onlooker.look(run, run) is onlooker.look(run, run)


def without_weights(run: Run, folder: Path) -> None:
    (run.path / "student.safetensors").unlink()


def with_other_images(run: Run, folder: Path) -> None:
    change(run, "judged", "another fingerprint")


def with_another_teacher(run: Run, folder: Path) -> None:
    change(run, "teacher", {"name": "digits_teacher", "sha256": "another"})


def without_teacher(run: Run, folder: Path) -> None:
    (next((folder / "teachers").glob("digits_teacher-*")) / "summary.json").unlink()


def change(run: Run, name: str, value: object) -> None:
    path = run.path / "summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without_weights, "the run is not finished, or its weights were moved"),
        (with_other_images, "are not those that .* was judged on"),
        (with_another_teacher, "is not the one that taught"),
        (without_teacher, "say with --teachers where it is kept"),
    ],
)
def test_what_is_not_the_runs_own_is_refused(tmp_path: Path, spoil: Callable[[Run, Path], None], message: str) -> None:
    train(recipe(DKDSettings(warmup=0)), tmp_path / "dkd", places(tmp_path))
    spoil(read_run(tmp_path / "dkd"), tmp_path)
    run, before = read_run(tmp_path / "dkd"), contents(tmp_path)
    with pytest.raises((ValueError, OSError), match=message):
        Onlooker(places(tmp_path)).look(run, run)
    assert contents(tmp_path) == before, "nothing was trained for it"
