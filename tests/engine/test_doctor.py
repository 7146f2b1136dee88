"""The doctor finds a healthy machine healthy, and says what is broken on another."""

import json
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from decant.cli import app
from decant.engine import doctor, train
from decant.engine.doctor import Check, describe_machine, report, self_test
from decant.losses import dkd_loss


def test_a_healthy_machine_passes_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    checks = list(self_test("cpu", compiling=False))
    assert [(check.name, check.passed) for check in checks] == [
        ("loss", True), ("bf16", True), ("training", True), ("resuming", True),
    ]  # fmt: skip
    assert not list(tmp_path.glob("decant-doctor-*"))


@pytest.mark.slow
def test_compiling_is_tried(tmp_path: Path) -> None:
    assert doctor._tried("compiling", lambda: doctor._compiling(torch.device("cpu"))).passed


def test_a_wrong_loss_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("decant.engine.doctor.dkd_loss", lambda *args, **more: dkd_loss(*args, **more) * 1.00001)
    check = next(self_test("cpu", compiling=False))
    assert check.passed is False
    assert "its equation" in check.told


def test_a_resumed_run_that_is_another_one_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(recipe: Any, out: Path, *args: Any, **more: Any) -> Any:
        if out.name == "torn":
            recipe = replace(recipe, seed=1)
        return train(recipe, out, *args, **more)

    monkeypatch.setattr("decant.engine.doctor.train", forgetful)
    with pytest.raises(ValueError, match=r"a resumed run is not the undisturbed one: .* differ"):
        doctor._resuming(tmp_path)


def test_what_is_missing_is_no_fault_where_it_is_optional() -> None:
    def broken() -> str:
        raise RuntimeError("no compiler\nand many lines more")

    check = doctor._tried("compiling", broken, needed=False)
    assert (check.passed, check.told) == (None, "RuntimeError: no compiler")
    assert doctor._tried("loss", broken).passed is False


def test_the_report_names_no_path_and_no_host(tmp_path: Path) -> None:
    machine = describe_machine("cpu", tmp_path / "not" / "there")
    text = report(machine, [Check("loss", False, "wrong", 0.1)])
    assert "FAILED    loss: wrong (0.1 s)" in text
    assert "torch " + version("torch") in text
    assert str(tmp_path) not in text
    json.dumps(machine)


@pytest.mark.parametrize(("passed", "code"), [(True, 0), (None, 0), (False, 1)])
def test_the_exit_code_says_whether_it_works(monkeypatch: pytest.MonkeyPatch, passed: bool | None, code: int) -> None:
    monkeypatch.setattr(doctor, "self_test", lambda device, compiling: iter([Check("loss", passed, "told", 0.0)]))
    done = CliRunner().invoke(app, ["doctor", "--json", "--device", "cpu"])
    assert done.exit_code == code
    assert json.loads(done.stdout)["checks"] == [{"name": "loss", "passed": passed, "told": "told", "seconds": 0.0}]
    assert "loss: told" in CliRunner().invoke(app, ["doctor", "--device", "cpu"]).stdout
