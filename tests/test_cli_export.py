"""`decant export`: what it checks with, prints and leaves."""

import json
from pathlib import Path

import pytest

from command_line import Run
from data.made_pictures import folder
from decant.engine import train
from engine.students import student_file
from engine.tiny import places, recipe


def test_with_pictures_of_ones_own(decant: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    student_file(tmp_path / "student.safetensors")
    pictures = folder(tmp_path / "pictures", {"a": 4, "b": 4})
    (pictures / "a" / "zz.png").write_bytes(b"no picture")
    arguments = ("export", str(tmp_path / "student.safetensors"), "--format", "torch-export")
    code, out, err = decant(*arguments, "--pictures", str(pictures))
    assert code == 0
    assert "zz.png is left out: cannot identify" in err
    assert "the same as the original on 8 pictures: largest difference of a logit" in out
    assert "ms per picture, batch 8" in out
    report = json.loads((tmp_path / "student.pt2.json").read_text())
    assert report["agreement"]["pictures"] == 8
    code, _, err = decant(*arguments)
    assert code == 2
    assert "names no data: give pictures to check with" in err
    assert "there is no format" in decant(*arguments[:2], "--format", "x")[2]


def test_with_the_test_images_of_a_run(decant: Run, tmp_path: Path) -> None:
    train(recipe(), tmp_path / "run", places(tmp_path))
    code, _, err = decant("export", str(tmp_path / "run"), "--format", "torch-export", "--count", "10")
    assert (code, err) == (0, "")
    report = json.loads((tmp_path / "run" / "student.pt2.json").read_text())
    assert report["agreement"]["pictures"] == 10
    assert report["agreement"]["same_answer"] == 1.0
