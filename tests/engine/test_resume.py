"""An interrupted run that goes on is, bit for bit, the run that was never interrupted."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from decant.engine import train
from decant.interfaces import MethodSettings
from decant.methods import METHODS, ComposedSettings, CTKDSettings, DKDSettings, KDSettings, SupervisedSettings
from decant.recipe import DOTSettings
from engine.tiny import (
    DATA,
    Heard,
    InterruptAfter,
    LostMachineError,
    contents,
    places,
    recipe,
    rows_of,
    splits,
    untrained_teacher,
    weights_of,
)

CASES: dict[str, tuple[MethodSettings, dict[str, Any]]] = {
    "supervised": (SupervisedSettings(), {}),
    "kd": (KDSettings(), {}),
    "dkd": (DKDSettings(warmup=2), {}),
    "ema": (DKDSettings(), {"ema": 0.9}),
    "accumulate": (DKDSettings(), {"accumulate": 3}),
    "rarely": (DKDSettings(), {"epochs": 5, "evaluate_every": 2, "checkpoint_every": 2}),
    "bf16": (DKDSettings(), {"precision": "bf16"}),
    "dropout": (DKDSettings(), {"student": "with_dropout"}),
    "vid": (METHODS["vid"](), {}),
    "crd": (METHODS["crd"](), {"ema": 0.9}),
    "dot": (DKDSettings(warmup=2), {"optimizer": DOTSettings(), "nesterov": False, "ema": 0.9}),
    "dot, all at once": (
        METHODS["vid"](),
        {"optimizer": DOTSettings(), "nesterov": False, "accumulate": 3, "precision": "bf16"},
    ),
    "dkd+reviewkd": (ComposedSettings((DKDSettings(warmup=2), METHODS["reviewkd"]())), {}),
    "nd": (METHODS["nd"](), {}),
    "crld": (METHODS["crld"](), {}),
    "ctkd": (CTKDSettings(base="dkd"), {"ema": 0.9}),
    "sdd": (METHODS["sdd"](), {"ema": 0.9}),
    "simkd": (METHODS["simkd"](), {"ema": 0.9}),
}
SLOW_CASES: dict[str, tuple[MethodSettings, dict[str, Any]]] = {
    name: (METHODS[name](), {}) for name in METHODS if name not in CASES
}


@pytest.mark.usefixtures("plain_networks")
@pytest.mark.parametrize("case", [*CASES, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW_CASES)])
def test_a_resumed_run_is_the_undisturbed_one(case: str, tmp_path: Path) -> None:
    method, settings = (CASES | SLOW_CASES)[case]
    planned = recipe(method, **settings)
    teacher = untrained_teacher() if planned.teacher is not None else None
    train(planned, tmp_path / "whole", places(tmp_path), teacher=teacher)
    # In the first epoch, after the first checkpoint, before the next, after the next.
    for batches in (2, 10, 3, 9) if case == "rarely" else (2, 6, 3, 5):
        torch.manual_seed(batches)  # nothing of the new process is that of the old one
        with pytest.raises(LostMachineError):
            train(planned, tmp_path / "torn", places(tmp_path), teacher=teacher, reporter=InterruptAfter(batches))
    train(planned, tmp_path / "torn", places(tmp_path), teacher=teacher)
    whole, torn = weights_of(tmp_path / "whole"), weights_of(tmp_path / "torn")
    assert whole.keys() == torn.keys()
    assert all(torch.equal(whole[key], torn[key]) for key in whole)
    assert rows_of(tmp_path / "torn") == rows_of(tmp_path / "whole")
    assert [row["epoch"] for row in rows_of(tmp_path / "torn")] == ([2, 4, 5] if case == "rarely" else [1, 2, 3])
    names = {"environment.json", "metrics.jsonl", "recipe.json", "student.safetensors", "summary.json"}
    assert contents(tmp_path / "torn").keys() == names


def test_it_says_that_it_goes_on_and_does_not_start_over(tmp_path: Path) -> None:
    with pytest.raises(LostMachineError):
        train(recipe(), tmp_path / "run", places(tmp_path), reporter=InterruptAfter(6))
    heard = Heard()
    train(recipe(), tmp_path / "run", places(tmp_path), reporter=heard)
    assert any("goes on after epoch 1 of 3" in line for line in heard.lines)
    assert any("2 epochs of 4 steps" in line for line in heard.lines)


def test_it_says_when_it_cannot_be_bit_equal_any_more(tmp_path: Path) -> None:
    with pytest.raises(LostMachineError):
        train(recipe(), tmp_path / "run", places(tmp_path), reporter=InterruptAfter(6))
    path = tmp_path / "run" / "environment.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "threads": 64}))
    heard = Heard()
    train(recipe(), tmp_path / "run", places(tmp_path), reporter=heard)
    assert any("not bit-equal" in line and "threads: there 64" in line for line in heard.lines)


def test_a_damaged_resume_state_is_not_passed_over(tmp_path: Path) -> None:
    with pytest.raises(LostMachineError):
        train(recipe(), tmp_path / "run", places(tmp_path), reporter=InterruptAfter(6))
    (tmp_path / "run" / "resume.pt").write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(ValueError, match=r"resume\.pt: the resume state cannot be read"):
        train(recipe(), tmp_path / "run", places(tmp_path))
    (tmp_path / "run" / "resume.pt").unlink()
    assert train(recipe(), tmp_path / "run", places(tmp_path))["finished"]
    assert len(rows_of(tmp_path / "run")) == 3


def test_a_run_does_not_go_on_with_another_teacher_or_other_data(tmp_path: Path) -> None:
    planned, teacher = recipe(KDSettings()), untrained_teacher()
    with pytest.raises(LostMachineError):
        train(planned, tmp_path / "run", places(tmp_path), teacher=teacher, reporter=InterruptAfter(6))
    before = contents(tmp_path)
    other = replace(teacher, sha256="d0d0")
    with pytest.raises(FileExistsError, match=r"other material \(teacher: there 'c0ffee', here 'd0d0'\); bring"):
        train(planned, tmp_path / "run", places(tmp_path), teacher=other)
    data = splits(replace(DATA, fake_train=65))
    with pytest.raises(FileExistsError, match=r"other material \(data: there "):
        train(planned, tmp_path / "run", places(tmp_path), teacher=teacher, splits=data)
    assert contents(tmp_path) == before
    assert train(planned, tmp_path / "run", places(tmp_path), teacher=teacher)["finished"]


def test_a_finished_run_is_left_alone(tmp_path: Path) -> None:
    summary = train(recipe(), tmp_path / "run", places(tmp_path))
    before = contents(tmp_path)
    heard = Heard()
    assert train(recipe(), tmp_path / "run", places(tmp_path), reporter=heard) == summary
    assert contents(tmp_path) == before
    assert heard.lines == [f"{tmp_path / 'run'}: finished before, nothing to do"]


def test_another_recipe_never_writes_into_a_run(tmp_path: Path) -> None:
    train(recipe(), tmp_path / "run", places(tmp_path))
    before = contents(tmp_path)
    with pytest.raises(FileExistsError, match=r"train\.epochs: there 3, here 4"):
        train(recipe(epochs=4), tmp_path / "run", places(tmp_path))
    assert contents(tmp_path) == before


def test_a_run_that_could_not_begin_leaves_no_claim_on_its_folder(tmp_path: Path) -> None:
    alone = replace(recipe(DKDSettings()), teacher=None)
    with pytest.raises(ValueError, match="DKD learns from a teacher"):
        train(alone, tmp_path / "run", places(tmp_path))
    assert not (tmp_path / "run").exists()
    train(recipe(), tmp_path / "run", places(tmp_path))
