"""One recipe, any number of processes: copies or shares of the networks, the same curve, files and resume states."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import decant
from engine.test_processes import FROM_WEIGHTS, STUDENT, launched, taught
from engine.tiny import rows_of, weights_of

RECIPE = STUDENT.format(student="plain", teacher=FROM_WEIGHTS, images=128, epochs=4)
LAUNCHERS = {
    "torchrun": "torch.distributed.run --standalone --nproc-per-node=2",
    "accelerate": "accelerate.commands.launch --multi_gpu --num_processes=2 --num_machines=1 --mixed_precision=no "
    "--dynamo_backend=no",
}
pytestmark = pytest.mark.slow


def same_curve(one: Path, other: Path) -> None:
    """Every loss within 1e-4 relative and every weight within 1e-4: float32 summed in another order, 32 steps long."""
    left, right = rows_of(one), rows_of(other)
    moved = abs(left[-1]["train_loss"] / left[0]["train_loss"] - 1)
    assert moved > 0.005, "nothing was learned, so nothing was compared"
    for a, b in zip(left, right, strict=True):
        assert a["samples"] == b["samples"] == 51
        for name in ("loss", "train_loss"):
            assert b[name] == pytest.approx(a[name], rel=1e-4)
        assert b["terms"] == pytest.approx(a["terms"], rel=1e-4)
        assert b["agreement"] == pytest.approx(a["agreement"], abs=100 / 51 + 1e-9)
    torch.testing.assert_close(weights_of(other), weights_of(one), rtol=0, atol=1e-4)


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_the_command_runs_under_both_launchers(tmp_path: Path, launcher: str) -> None:
    taught(tmp_path, images=64)
    text = STUDENT.format(student="digits_student", teacher=FROM_WEIGHTS, images=64, epochs=2)
    (tmp_path / "recipe.toml").write_text(text)
    command = [
        "-m",
        "decant",
        "train",
        str(tmp_path / "recipe.toml"),
        "--out",
        str(tmp_path / "run"),
        "--device",
        "cpu",
    ]
    environment = {**os.environ, "PYTHONPATH": str(Path(decant.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *LAUNCHERS[launcher].split(), *command],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("weights in") == 1, "one process speaks"
    assert json.loads((tmp_path / "run" / "environment.json").read_text())["processes"] == 2
    assert rows_of(tmp_path / "run")[-1]["samples"] == 51


@pytest.mark.parametrize("processes", [3, 4])
def test_more_processes_learn_what_one_does(tmp_path: Path, processes: int) -> None:
    """51 test images over 3 or 4 processes: each is counted once. 132 training images: both numbers divide them."""
    taught(tmp_path, images=132)
    (tmp_path / "recipe.toml").write_text(
        RECIPE.replace("batch_size = 16", "batch_size = 24").replace("fake_train = 128", "fake_train = 132")
    )
    launched(1, tmp_path / "one", tmp_path / "recipe.toml")
    launched(processes, tmp_path / "more", tmp_path / "recipe.toml")
    same_curve(tmp_path / "one", tmp_path / "more")


@pytest.mark.parametrize("method", ["luminet", "dist"])
def test_methods_that_compare_samples_learn_what_they_do_in_one(tmp_path: Path, method: str) -> None:
    taught(tmp_path, images=128)
    # A tenth of the learning rate: their weights are large, and a run that blows up magnifies every rounding.
    slowly = RECIPE.replace("learning_rate = 0.05", "learning_rate = 0.005")
    (tmp_path / "recipe.toml").write_text(slowly.replace('"dkd"', f'"{method}"'))
    launched(1, tmp_path / "one", tmp_path / "recipe.toml")
    launched(2, tmp_path / "two", tmp_path / "recipe.toml")
    same_curve(tmp_path / "one", tmp_path / "two")


def test_samples_without_a_label_count_as_in_one(tmp_path: Path) -> None:
    taught(tmp_path, images=128)
    (tmp_path / "recipe.toml").write_text(RECIPE.replace("fake_pixels = 8", "fake_pixels = 8\nhidden_labels = 0.6"))
    launched(1, tmp_path / "one", tmp_path / "recipe.toml")
    launched(2, tmp_path / "two", tmp_path / "recipe.toml")
    same_curve(tmp_path / "one", tmp_path / "two")


@pytest.mark.parametrize("extra", ["", "ema = 0.9\naccumulate = 2\n"], ids=["plain", "ema and accumulate"])
def test_divided_networks_learn_what_whole_ones_do(tmp_path: Path, extra: str) -> None:
    taught(tmp_path, images=128)
    (tmp_path / "recipe.toml").write_text(RECIPE + extra)
    launched(1, tmp_path / "one", tmp_path / "recipe.toml")
    launched(2, tmp_path / "divided", tmp_path / "recipe.toml", shard=True)
    assert json.loads((tmp_path / "divided" / "environment.json").read_text())["sharded"] is True
    same_curve(tmp_path / "one", tmp_path / "divided")
