"""`decant predict`: tables, JSON and CSV, broken files, and detectors by the same command."""

import csv
import io
import json
from pathlib import Path

import pytest

from command_line import Run
from data.made_pictures import folder
from decant.detection.run import train_detector
from detection.toy_runs import recipe as detection_recipe
from engine.students import student_file
from engine.tiny import places


@pytest.fixture
def student(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COLUMNS", "200")
    folder(tmp_path / "pictures", {"a": 2, "[b] ü": 1})
    return student_file(tmp_path / "student.safetensors")


def test_a_table(decant: Run, student: Path, tmp_path: Path) -> None:
    code, out, err = decant("predict", str(student), str(tmp_path / "pictures"), "--top", "2", "--device", "cpu")
    assert (code, err) == (0, "")
    lines = [line for line in out.splitlines() if "000.png" in line]
    assert len(lines) == 2
    assert "[b] ü" in out
    assert all(line.count("%") == 2 for line in lines)


def test_json_and_csv_say_the_same(decant: Run, student: Path, tmp_path: Path) -> None:
    (tmp_path / "pictures" / "a" / "bad.png").write_bytes(b"no picture")
    arguments = ("predict", str(student), str(tmp_path / "pictures"), "--device", "cpu", "--batch", "2")
    code, out, err = decant(*arguments, "--json")
    assert code == 1
    assert "bad.png cannot be read: cannot identify" in err
    told = json.loads(out)
    assert len(told["pictures"]) == 3
    assert [Path(each["picture"]).name for each in told["unreadable"]] == ["bad.png"]
    assert sum(each["probability"] for each in told["pictures"][0]["top"]) <= 1
    code, out, err = decant(*arguments, "--csv", "--top", "1")
    assert code == 1
    assert "bad.png cannot be read" in err
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["class"] for row in rows] == [each["top"][0]["class"] for each in told["pictures"]]
    assert {row["rank"] for row in rows} == {"1"}


def test_of_any_number_of_classes_each_is_a_yes_or_a_no(decant: Run, student: Path, tmp_path: Path) -> None:
    several = student_file(tmp_path / "several.safetensors", task="multilabel")
    arguments = ("predict", str(several), str(tmp_path / "pictures"), "--device", "cpu")
    code, out, err = decant(*arguments, "--json")
    assert (code, err) == (0, "")
    said = [each for picture in json.loads(out)["pictures"] for each in picture["top"]]
    assert len(said) == 3 * 8, "all of the classes, however many are a yes"
    assert {each["yes"] for each in said} == {True, False}
    assert all(each["yes"] == (each["probability"] > 0.5) for each in said)
    _, out, _ = decant(*arguments, "--csv")
    assert [row["yes"] for row in csv.DictReader(io.StringIO(out))] == [str(int(each["yes"])) for each in said]
    _, out, _ = decant(*arguments)
    assert out.count(": yes,") + out.count(": no,") == len(said)
    assert ": yes," not in decant("predict", str(student), str(tmp_path / "pictures"), "--device", "cpu")[1]


def test_only_broken_pictures(decant: Run, student: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"")
    code, out, err = decant("predict", str(student), str(tmp_path / "bad.png"), "--device", "cpu")
    assert (code, out) == (1, "")
    assert "bad.png cannot be read" in err


def test_what_does_not_go_together_is_refused(decant: Run, student: Path, tmp_path: Path) -> None:
    pictures = str(tmp_path / "pictures")
    assert decant("predict", str(student), pictures, "--json", "--csv")[0] == 2
    code, _, err = decant("predict", str(student), pictures, "--out", "x.png")
    assert code == 2
    assert "--out is of detectors" in err
    code, _, err = decant("predict", str(tmp_path), str(tmp_path / "none.png"))
    assert code == 2
    assert "there is no picture or folder" in err


def test_a_detector_draws_by_the_same_command(
    decant: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, student: Path
) -> None:
    pytest.importorskip("faster_coco_eval", reason="needs the extra [detection]")
    monkeypatch.chdir(tmp_path)
    train_detector(detection_recipe(), tmp_path / "run", places(tmp_path))
    picture = str(tmp_path / "pictures" / "a" / "000.png")
    words = ("--out", "seen.png", "--device", "cpu", "--teachers", str(tmp_path / "teachers"))
    code, out, err = decant("predict", "run", picture, *words)
    assert (code, err) == (0, "")
    assert "student: fasterrcnn_tiny_fpn" in out
    assert (tmp_path / "seen.png").is_file()
    assert "one picture" in decant("predict", "run", picture, picture)[2]
    code, _, err = decant("predict", "run/student.safetensors", picture)
    assert code == 2
    assert "is a detector's" in err
