"""What a student says of pictures: the same for any batch and any workers, and a fault costs one picture."""

from pathlib import Path

import pytest
import torch

from data.made_pictures import folder, save
from decant.engine.classify import classify, find_pictures
from engine.students import random_student


def test_the_answers_are_the_networks(tmp_path: Path) -> None:
    student = random_student(tmp_path / "x.safetensors")
    pictures = find_pictures([folder(tmp_path / "pictures", {"a": 3, "b": 2})])
    assert len(pictures) == 5
    answers = list(classify(student, pictures, top=3, device="cpu", batch_size=2))
    images = torch.stack([student.preprocess(path) for path in pictures])
    with torch.no_grad():
        wanted = student.network(images).softmax(1)
    for answer, row in zip(answers, wanted, strict=True):
        assert answer.fault is None
        assert answer.classes[0] == student.classes[int(row.argmax())]
        torch.testing.assert_close(torch.tensor(answer.probabilities), row.sort(descending=True).values[:3])
    assert {len(answer.classes) for answer in classify(student, pictures, top=99, device="cpu")} == {8}


@pytest.mark.parametrize("workers", [0, 2])
def test_broken_files_are_named_and_change_no_other_answer(tmp_path: Path, workers: int) -> None:
    student = random_student(tmp_path / "x.safetensors")
    pictures = find_pictures([folder(tmp_path / "pictures", {"a": 3})])
    whole = list(classify(student, pictures, device="cpu"))
    (tmp_path / "bad.png").write_bytes(b"no picture")
    mixed = [tmp_path / "bad.png", pictures[0], tmp_path / "gone.png", *pictures[1:]]
    answers = list(classify(student, mixed, device="cpu", batch_size=2, workers=workers))
    assert [answer.picture for answer in answers] == mixed
    assert [answer.fault is not None for answer in answers] == [True, False, True, False, False]
    for answer, alone in zip([answers[1], *answers[3:]], whole, strict=True):
        assert answer.classes == alone.classes
        assert answer.probabilities == pytest.approx(alone.probabilities, rel=1e-5)
    assert all(answer.fault for answer in classify(student, [tmp_path / "bad.png"], device="cpu"))


def test_pictures_are_found_once(tmp_path: Path) -> None:
    inner = save(tmp_path / "pictures" / "deep" / "er" / "x.JPG", seed=0)
    (tmp_path / "pictures" / "notes.txt").write_text("")
    (tmp_path / "odd-name").write_bytes(inner.read_bytes())
    assert find_pictures([tmp_path / "pictures", inner, tmp_path / "odd-name"]) == [inner, tmp_path / "odd-name"]
    with pytest.raises(FileNotFoundError, match="there is no picture or folder"):
        find_pictures([tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="there is no picture in"):
        find_pictures([tmp_path / "empty"])


def test_counts_below_one_are_refused(tmp_path: Path) -> None:
    student = random_student(tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match="at least 1, got 0 and 64"):
        list(classify(student, [], top=0))
