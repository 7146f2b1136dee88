"""Trackers are told the numbers of metrics.jsonl, and nothing of the machine's; a resumed run goes on in its own."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from decant.engine import parallel, tracking
from decant.engine import train as train_recipe
from decant.engine.tracking import TRACKED_FILE, Tracking, require_trackers
from decant.methods import DKDSettings
from engine.tiny import Heard, InterruptAfter, LostMachineError, contents, places, recipe, rows_of

RECIPE = recipe(DKDSettings(warmup=0))
SECRET = "0123456789abcdef-a-key"


class Service:
    """Stands for all three services: remembers what each run of it was told."""

    def __init__(self) -> None:
        self.started: list[tuple[str, str, dict[str, Any]]] = []
        self.settings: list[dict[str, Any]] = []
        self.told: list[tuple[str, int | None, dict[str, Any]]] = []
        self.finished: list[str] = []
        self.broken_from: int | None = None
        self.away: set[str] = set()

    def start(self, name: str, title: str, /, **settings: Any) -> Any:
        if name in self.away:
            raise ConnectionError("the service is away")
        self.started.append((name, title, settings))
        info = SimpleNamespace(run_id=settings.get("run_id") or f"made-by-{name}")

        def log(values: dict[str, Any], step: int | None = None) -> None:
            if self.broken_from is not None and step is not None and step >= self.broken_from:
                raise ConnectionError("the service is away")
            self.told.append((name, step, values))

        return SimpleNamespace(
            tracker=SimpleNamespace(info=info),
            store_init_configuration=self.settings.append,
            log=log,
            finish=lambda: self.finished.append(name),
        )


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    """The services, and a secret where theirs would be."""
    made = Service()
    monkeypatch.setattr(tracking, "started_tracker", made.start)
    monkeypatch.setattr(tracking, "_installed", lambda name: True)
    for name in ("WANDB_API_KEY", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, SECRET)
    return made


def train(folder: Path, *, names: tuple[str, ...], reporter: Heard | None = None) -> None:
    train_recipe(RECIPE, folder / "run", replace(places(folder), track=names), reporter=reporter or Heard())


def of_student(service: Service, name: str) -> list[tuple[int, dict[str, Any]]]:
    """What one service was told of the student's epochs; its teacher was trained first."""
    title = [title for kind, title, _ in service.started if kind == name][-1]
    assert title == "decant" or "run" in title
    epochs = [(step, values) for kind, step, values in service.told if kind == name and step and "train_loss" in values]
    return epochs[-RECIPE.train.epochs :]


def test_every_service_is_told_the_numbers_of_the_log(tmp_path: Path, service: Service) -> None:
    train(tmp_path, names=("tensorboard", "wandb", "mlflow"))
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    for name in ("tensorboard", "wandb", "mlflow"):
        told = of_student(service, name)
        assert [step for step, _ in told] == [row["epoch"] for row in rows]
        for (_, values), row in zip(told, rows, strict=True):
            assert values["top1"] == row["top1"]
            assert values["terms/tckd"] == row["terms"]["tckd"]
            assert values["weights/nckd"] == row["weights"]["nckd"]
            numbers = [value for value in row.values() if isinstance(value, int | float)]
            assert len(values) == len(numbers) - 1 + len(row["terms"]) + len(row["weights"])
    assert service.settings[-1]["method.name"] == "dkd"
    assert service.finished.count("wandb") == 2, "student and teacher"


def test_a_run_is_the_same_with_and_without(tmp_path: Path, service: Service) -> None:
    train(tmp_path / "with", names=("wandb",))
    train(tmp_path / "without", names=())
    assert rows_of(tmp_path / "with" / "run") == rows_of(tmp_path / "without" / "run")
    left = {name: contents(tmp_path / name / "run").keys() for name in ("with", "without")}
    assert left["with"] - left["without"] == {TRACKED_FILE}
    recipes = [(tmp_path / name / "run" / "recipe.json").read_bytes() for name in ("with", "without")]
    assert recipes[0] == recipes[1]


def test_a_resumed_run_goes_on_where_it_was_tracked(tmp_path: Path, service: Service) -> None:
    """The teacher's 12 batches, then 6 of the student's: its second epoch is cut, and runs again."""
    with pytest.raises(LostMachineError):
        train(tmp_path, names=("tensorboard", "wandb", "mlflow"), reporter=InterruptAfter(12 + 6))
    before = {kind: (title, settings) for kind, title, settings in service.started}
    known = json.loads((tmp_path / "run" / TRACKED_FILE).read_text())
    settings = len(service.settings)
    train(tmp_path, names=("tensorboard", "wandb", "mlflow"))
    after = {kind: (title, settings) for kind, title, settings in service.started}
    assert after["tensorboard"][0] == before["tensorboard"][0]
    assert after["tensorboard"][1]["purge_step"] == 2
    assert after["wandb"][1]["id"] == before["wandb"][1]["id"] == known["id"]
    assert after["wandb"][1]["resume"] == "allow"
    assert after["mlflow"][1]["run_id"] == known["mlflow"] == "made-by-mlflow"
    assert len(service.settings) == settings, "its settings were told before"
    assert [step for step, _ in of_student(service, "wandb")] == [1, 2, 3]
    assert json.loads((tmp_path / "run" / TRACKED_FILE).read_text()) == known


def test_no_secret_lands_anywhere_below(tmp_path: Path, service: Service) -> None:
    train(tmp_path, names=("tensorboard", "wandb", "mlflow"))
    assert not [name for name, content in contents(tmp_path).items() if SECRET.encode() in content]
    assert SECRET not in json.dumps([service.settings, service.told, [each[2] for each in service.started]])
    assert {each[2]["dir"] for each in service.started if each[0] == "wandb"} == {str(tmp_path / "tracked")}


def test_a_service_that_fails_ends_no_training(tmp_path: Path, service: Service) -> None:
    service.broken_from = 2
    heard = Heard()
    train(tmp_path, names=("wandb",), reporter=heard)
    assert len(rows_of(tmp_path / "run")) == 3
    assert any("wandb failed after epoch 2" in line and "the service is away" in line for line in heard.lines)


def test_a_service_that_cannot_be_reached_ends_no_training(tmp_path: Path, service: Service) -> None:
    service.away = {"wandb"}
    heard = Heard()
    train(tmp_path, names=("wandb", "mlflow"), reporter=heard)
    assert len(rows_of(tmp_path / "run")) == 3
    said = "wandb failed at its start and is told nothing of this run: the service is away"
    assert heard.lines.count(said) == 2, "student and teacher"
    assert [step for step, _ in of_student(service, "mlflow")] == [1, 2, 3]
    known = json.loads((tmp_path / "run" / TRACKED_FILE).read_text())
    assert known.keys() == {"id", "mlflow"}, "a resumed run begins with it"


def test_what_cannot_be_told_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected trackers among tensorboard, wandb, mlflow, got 'tensorbord'"):
        train(tmp_path, names=("tensorbord",))
    assert contents(tmp_path) == {}


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "_installed", lambda name: False)
    with pytest.raises(ImportError, match="--track mlflow needs the package mlflow: pip install mlflow"):
        require_trackers(("mlflow",))


def test_only_tensorboard_is_kept_in_files_of_ours(tmp_path: Path) -> None:
    """The real one: its file holds every number, also of a run that was interrupted, each epoch once."""
    pytest.importorskip("tensorboard", reason="tensorboard is not installed (the extra `track` has it)")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = tmp_path / "runs" / "mine"
    folder.mkdir(parents=True)
    rows = [{"epoch": epoch, "split": "test", "top1": 10.0 * epoch, "terms": {"nckd": 0.5}} for epoch in (1, 2, 3)]
    first = Tracking(("tensorboard",), folder, tmp_path / "tracked", {"seed": 0})
    first.begin([])
    for row in rows[:2]:
        first.add(row)
    first.end()
    again = Tracking(("tensorboard",), folder, tmp_path / "tracked", {"seed": 0})
    again.begin(rows[:1])
    for row in rows[1:]:
        again.add(row)
    again.end()
    (kept,) = (tmp_path / "tracked" / "tensorboard").iterdir()
    found = EventAccumulator(str(kept)).Reload()
    assert [(event.step, event.value) for event in found.Scalars("top1")] == [(1, 10.0), (2, 20.0), (3, 30.0)]
    assert {event.value for event in found.Scalars("terms/nckd")} == {0.5}
    assert [path.name for path in folder.iterdir()] == [TRACKED_FILE]


def test_every_tracker_is_one_of_accelerates() -> None:
    assert set(parallel._TRACKERS) == set(tracking.TRACKERS)
