"""An interrupted run that goes on is, bit for bit, the run that was never interrupted."""

import json
import os
import re
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from decant.engine import train
from decant.engine.termination import TerminatedError
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
INSIDE: dict[str, tuple[MethodSettings, dict[str, Any]]] = {
    "every step": (DKDSettings(), {"checkpoint_steps": 1, "ema": 0.9}),
    "accumulate": (DKDSettings(), {"checkpoint_steps": 1, "accumulate": 3}),
    "rarely": (DKDSettings(), {"checkpoint_steps": 3, "checkpoint_every": 9}),
    "dropout": (DKDSettings(), {"checkpoint_steps": 1, "student": "with_dropout"}),
    "crd": (METHODS["crd"](), {"checkpoint_steps": 1}),
    "dot": (DKDSettings(warmup=2), {"checkpoint_steps": 1, "optimizer": DOTSettings(), "nesterov": False}),
    "skip": (DKDSettings(), {"checkpoint_steps": 1, "on_nonfinite": "skip"}),
}
"""With resume points inside an epoch."""
SLOW_CASES: dict[str, tuple[MethodSettings, dict[str, Any]]] = {
    name: (METHODS[name](), {}) for name in METHODS if name not in CASES
}


def assert_same(run: Path, whole: Path) -> None:
    left, right = weights_of(whole), weights_of(run)
    assert left.keys() == right.keys()
    assert all(torch.equal(left[key], right[key]) for key in left)
    assert rows_of(run) == rows_of(whole)


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
    assert_same(tmp_path / "torn", tmp_path / "whole")
    assert [row["epoch"] for row in rows_of(tmp_path / "torn")] == ([2, 4, 5] if case == "rarely" else [1, 2, 3])
    names = {"environment.json", "metrics.jsonl", "recipe.json", "student.safetensors", "summary.json"}
    assert contents(tmp_path / "torn").keys() == names


@pytest.mark.usefixtures("plain_networks")
@pytest.mark.parametrize("case", INSIDE)
def test_a_run_that_goes_on_inside_an_epoch_is_the_undisturbed_one(case: str, tmp_path: Path) -> None:
    method, settings = INSIDE[case]
    planned, teacher = recipe(method, **settings), untrained_teacher()
    train(planned, tmp_path / "whole", places(tmp_path), teacher=teacher)
    said: list[str] = []
    for batches in (2, 3, 3, 2):  # of twelve, so that what was kept is gone on with
        torch.manual_seed(batches)
        interrupted = InterruptAfter(batches)
        with pytest.raises(LostMachineError):
            train(planned, tmp_path / "torn", places(tmp_path), teacher=teacher, reporter=interrupted)
        said += interrupted.lines
    train(planned, tmp_path / "torn", places(tmp_path), teacher=teacher)
    assert any(re.search(r"goes on after epoch \d and \d batches of 3", line) for line in said)
    assert_same(tmp_path / "torn", tmp_path / "whole")


def test_it_says_that_it_goes_on_and_does_not_start_over(tmp_path: Path) -> None:
    with pytest.raises(LostMachineError):
        train(recipe(), tmp_path / "run", places(tmp_path), reporter=InterruptAfter(6))
    heard = Heard()
    train(recipe(), tmp_path / "run", places(tmp_path), reporter=heard)
    assert any("goes on after epoch 1 of 3" in line for line in heard.lines)
    assert any("2 epochs of 4 steps" in line for line in heard.lines)


def test_a_damaged_newest_state_costs_what_came_after_the_one_before(tmp_path: Path) -> None:
    train(recipe(), tmp_path / "whole", places(tmp_path))
    with pytest.raises(LostMachineError):
        train(recipe(checkpoint_steps=1), tmp_path / "run", places(tmp_path), reporter=InterruptAfter(7))
    newest = max((tmp_path / "run").glob("resume-*.pt"))
    newest.write_bytes(newest.read_bytes()[:-1])
    heard = Heard()
    train(recipe(checkpoint_steps=1), tmp_path / "run", places(tmp_path), reporter=heard)
    assert heard.lines[0] == f"{newest} is damaged, its checksum is another one; the state before it is taken"
    assert "goes on after epoch 1 and 2 batches of 3" in heard.lines[1]
    whole, run = weights_of(tmp_path / "whole"), weights_of(tmp_path / "run")
    assert all(torch.equal(whole[key], run[key]) for key in whole)


def test_how_often_a_run_is_kept_may_change_while_it_lasts(tmp_path: Path) -> None:
    with pytest.raises(LostMachineError):
        train(recipe(), tmp_path / "run", places(tmp_path), reporter=InterruptAfter(6))
    with pytest.raises(LostMachineError):
        train(recipe(checkpoint_steps=1), tmp_path / "run", places(tmp_path), reporter=InterruptAfter(3))
    heard = Heard()
    train(recipe(), tmp_path / "run", places(tmp_path), reporter=heard)
    assert "goes on after epoch 1 and 3 batches of 3" in heard.lines[0]


class TerminateAfter(Heard):
    """Sends this process SIGTERM after its so-many-th batch, as a scheduler would."""

    def __init__(self, batches: int) -> None:
        super().__init__()
        self.left = batches

    def advance(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to send")
@pytest.mark.parametrize(
    ("accumulate", "batches", "kept"),
    [
        (1, 1, "0 and 2 batches"),
        (3, 1, "0 and 3 batches"),  # the step has three of them
        (1, 3, "0 and 4 batches"),  # nothing is left of the epoch but what it came to
        (1, 4, "1"),
        (3, 5, "1 and 3 batches"),
    ],
)
def test_sigterm_finishes_the_step_keeps_it_and_ends(tmp_path: Path, accumulate: int, batches: int, kept: str) -> None:
    planned, before = recipe(accumulate=accumulate), signal.getsignal(signal.SIGTERM)
    train(planned, tmp_path / "whole", places(tmp_path))
    with pytest.raises(TerminatedError, match="ended by SIGTERM; all that was trained is kept, the same command goes"):
        train(planned, tmp_path / "torn", places(tmp_path), reporter=TerminateAfter(batches))
    assert signal.getsignal(signal.SIGTERM) is before
    heard = Heard()
    train(planned, tmp_path / "torn", places(tmp_path), reporter=heard)
    assert f"goes on after epoch {kept} of 3" in heard.lines[0]
    assert_same(tmp_path / "torn", tmp_path / "whole")


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
    (state,) = (tmp_path / "run").glob("resume-*.pt")
    state.write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(
        ValueError, match=r"no resume state can be read, all are damaged \(resume-.*\.pt\); remove them"
    ):
        train(recipe(), tmp_path / "run", places(tmp_path))
    state.unlink()
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
