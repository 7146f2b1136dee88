"""`--track` of every command that trains: what it names is told of, and what it cannot name is refused at once."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from decant.cli import main
from decant.engine import own_pictures, tracking
from decant.studies import SIZES
from studies.small import SMALL
from test_cli_reproduce import CHANGES

COMMANDS = {
    "train": ["train", "demo"],
    "compare": ["compare", "demo", "--seeds", "1"],
    "reproduce": ["reproduce", "quick", "--pairs", "resnet20-resnet8", "--methods", "kd", "--seeds", "1", *CHANGES],
    "study": ["study", "transfer", "--demo", "--seeds", "1", "--device", "cpu"],
    "distill": ["distill", "pictures", "--teacher", "resnet20", "--student", "resnet8", "--out", "out"],
}


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> int:
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", ["decant", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_service_that_is_not_known_is_refused_before_anything_is_written(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, tmp_path, *COMMANDS[command], "--track", "tensorbord") == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "expected trackers among tensorboard, wandb, mlflow, got 'tensorbord'" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["reproduce", "study"])
def test_every_run_below_is_told_of(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    def started(kind: str, title: str, /, **settings: Any) -> Any:
        told.append(title)
        return SimpleNamespace(
            tracker=SimpleNamespace(info=SimpleNamespace(run_id=None)),
            store_init_configuration=lambda values: None,
            log=lambda values, step=None: None,
            finish=lambda: None,
        )

    monkeypatch.setattr(tracking, "started_tracker", started)
    monkeypatch.setattr(tracking, "_installed", lambda name: True)
    monkeypatch.setitem(SIZES, "demo", lambda: SMALL)
    assert run(monkeypatch, tmp_path, *COMMANDS[command], "--track", "wandb") == 0
    finished = list((tmp_path / "runs").rglob("summary.json"))
    assert len(told) == len(finished) > 1, "students, candidates of tuning and their teacher"


def test_distill_hands_the_services_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def instead(wanted: Any, out: Path, places: Any, **others: Any) -> Any:
        asked.append(places.track)
        raise ValueError("far enough")

    monkeypatch.setattr(tracking, "_installed", lambda name: True)
    monkeypatch.setattr(own_pictures, "distill_pictures", instead)
    assert run(monkeypatch, tmp_path, *COMMANDS["distill"], "--track", "wandb,mlflow") == 2
    assert asked == [("wandb", "mlflow")]
