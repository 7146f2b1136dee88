"""`decant reproduce`: the pairs of a suite, their evidence and the page above them."""

import json
from pathlib import Path

import pytest

from decant.cli import main

TINY = {
    "data.name": "fake",
    "data.fake_train": "60",
    "data.fake_test": "20",
    "data.fake_pixels": "8",
    "data.padding": "1",
    "train.epochs": "1",
    "train.batch_size": "30",
}
CHANGES = [
    part
    for key, value in TINY.items()
    for where in ("", "teacher.recipe.")
    for part in ("--set", f"{where}{key}={value}")
]


def reproduce(
    monkeypatch: pytest.MonkeyPatch, folder: Path, *more: str, methods: str = "supervised,kd", seeds: str = "1"
) -> int:
    monkeypatch.chdir(folder)
    arguments = ["reproduce", "quick", "--pairs", "resnet20-resnet8", "--methods", methods, "--seeds", seeds]
    monkeypatch.setattr("sys.argv", ["decant", *arguments, *CHANGES, *more])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_a_pair_s_evidence_and_the_page_above_it_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert reproduce(monkeypatch, tmp_path, "--results", "results") == 0
    kept = tmp_path / "results" / "quick"
    page = (kept / "README.md").read_text()
    assert page.startswith("# quick, with changed settings")
    assert "decant reproduce quick --pairs resnet20-resnet8 --methods supervised,kd --seeds 1" in page
    summary = json.loads((kept / "resnet20-resnet8" / "kd" / "seed-0" / "summary.json").read_text())
    assert f"| {summary['last']['top1']:.2f} |" in page
    assert "results/quick/resnet20-resnet8/kd/seed-0" in page
    assert reproduce(monkeypatch, tmp_path, "--results", "results", seeds="2") == 0
    assert "results/quick/resnet20-resnet8/kd/seed-1" in (kept / "README.md").read_text()
    assert json.loads((kept / "resnet20-resnet8" / "kd" / "seed-0" / "summary.json").read_text()) == summary


def test_results_of_somebody_else_are_refused_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "results" / "quick" / "resnet20-resnet8").mkdir(parents=True)
    (tmp_path / "results" / "quick" / "resnet20-resnet8" / "notes.txt").write_text("mine")
    assert reproduce(monkeypatch, tmp_path, "--results", "results") == 2
    assert "holds no comparison" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_page_of_the_user_s_is_not_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "README.md").write_text("mine")
    assert reproduce(monkeypatch, tmp_path, "--out", "mine") == 2
    assert "mine/README.md is not a page of comparisons" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["README.md"]


def test_an_unknown_pair_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reproduce(monkeypatch, tmp_path, "--pairs", "resnet20-vgg8") == 2
    assert "no pair resnet20-vgg8; there are: " in capsys.readouterr().err
