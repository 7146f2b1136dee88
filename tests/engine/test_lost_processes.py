"""A process of several that dies, fails or is asked to end: the others end soon, in words, and the run goes on."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

import decant
from decant.engine.lost_process import LostProcessError, told_of_lost_processes
from engine.test_launch import LAUNCHERS
from engine.tiny import rows_of, weights_of

RECIPE = """
[student]
name = "digits_student"
[data]
name = "fake"
padding = 1
fake_train = 1024
fake_test = 51
fake_classes = 8
fake_pixels = 8
[train]
epochs = {epochs}
batch_size = 16
learning_rate = 0.05
schedule = {{ name = "onecycle" }}
"""
FAILING = """
import os
import decant.engine.training as training
from decant.cli import main

real = training.Training.fit_epoch


def fit(self, epoch, *rest, **more):
    if epoch == 1 and os.environ["RANK"] == "1":
        raise ValueError("there is something wrong with this one")
    return real(self, epoch, *rest, **more)


training.Training.fit_epoch = fit
main()
"""
SOON = 60.0
"""Seconds within which nothing of a broken run is left."""


def train(tmp_path: Path, name: str, epochs: int) -> list[str]:
    recipe = tmp_path / f"{epochs}.toml"
    recipe.write_text(RECIPE.format(epochs=epochs))
    return ["train", str(recipe), "--out", str(tmp_path / name), "--device", "cpu", "--threads", "1"]


def surroundings(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(decant.__file__).parents[1]), "OMP_NUM_THREADS": "1", **more}


def judged(folder: Path) -> int:
    metrics = folder / "metrics.jsonl"
    return metrics.read_text().count("\n") if metrics.exists() else 0


@contextmanager
def started(commands: list[list[str]], environments: list[dict[str, str]]) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes, none of which outlives the test."""
    running = [
        subprocess.Popen(
            command,
            env=environment,
            text=True,
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for command, environment in zip(commands, environments, strict=True)
    ]
    try:
        yield running
    finally:
        for process in running:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def wait_for_epochs(folder: Path, epochs: int, process: subprocess.Popen[str]) -> None:
    while judged(folder) < epochs:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_process_that_is_killed_ends_the_others_soon(tmp_path: Path, launcher: str) -> None:
    command = [sys.executable, "-m", *LAUNCHERS[launcher].split(), "-m", "decant", *train(tmp_path, "run", 3000)]
    with started([command], [surroundings()]) as (process,):
        wait_for_epochs(tmp_path / "run", 1, process)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(children[1]), signal.SIGKILL)
        _, said = process.communicate(timeout=SOON)
        assert process.returncode != 0
    ours = [line for line in said.splitlines() if "another process of this run is gone" in line]
    assert len(ours) <= 1, "torch's words instead"
    assert "[rank0]: Traceback" not in said
    assert "exitcode  : -9" in said


@pytest.mark.slow
def test_the_first_error_is_on_top(tmp_path: Path) -> None:
    (tmp_path / "failing.py").write_text(FAILING)
    launcher = [sys.executable, "-m", *LAUNCHERS["torchrun"].split(), str(tmp_path / "failing.py")]
    with started([[*launcher, *train(tmp_path, "run", 3000)]], [surroundings()]) as (process,):
        wait_for_epochs(tmp_path / "run", 1, process)
        _, said = process.communicate(timeout=SOON)
        assert process.returncode != 0
    first = next(line for line in said.splitlines() if "Error" in line or line.startswith("decant:"))
    assert first == "decant: there is something wrong with this one"


def ranks(arguments: list[str]) -> tuple[list[list[str]], list[dict[str, str]]]:
    """Two processes without a launcher, as a scheduler starts them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    environments = [surroundings(RANK=rank, LOCAL_RANK=rank, **address) for rank in ("0", "1")]
    return [[sys.executable, "-m", "decant", *arguments]] * 2, environments


def run_to_the_end(arguments: list[str]) -> str:
    with started(*ranks(arguments)) as processes:
        said = [process.communicate(timeout=300) for process in processes]
        assert [process.returncode for process in processes] == [0, 0], said
    return said[0][0]


@pytest.mark.slow
def test_sigterm_to_one_ends_all_of_them_and_the_run_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    whole, ended = (train(tmp_path, name, 12) for name in ("whole", "ended"))
    run_to_the_end(whole)
    with started(*ranks(ended)) as processes:
        wait_for_epochs(tmp_path / "ended", 3, processes[0])
        processes[1].send_signal(signal.SIGTERM)
        said = [process.communicate(timeout=SOON)[1] for process in processes]
        assert [process.returncode for process in processes] == [75, 75], said
    assert all("ended by SIGTERM; all that was trained is kept" in each for each in said)
    shutil.copytree(tmp_path / "ended", tmp_path / "alone")
    assert "goes on after epoch" in run_to_the_end(ended)
    assert rows_of(tmp_path / "ended") == rows_of(tmp_path / "whole")
    left, right = weights_of(tmp_path / "whole"), weights_of(tmp_path / "ended")
    assert all(torch.equal(left[key], right[key]) for key in left)
    alone = [sys.executable, "-m", "decant", *train(tmp_path, "alone", 12)]
    done = subprocess.run(alone, env=surroundings(), capture_output=True, text=True, check=True)
    assert "not bit-equal to an undisturbed run, since it began elsewhere: processes: there 2, here 1" in " ".join(
        done.stdout.split()
    )
    assert len(rows_of(tmp_path / "alone")) == 12


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("[third_party/gloo/gloo/transport/tcp/pair.cc:545] Connection reset by peer"),
        torch.distributed.DistBackendError("NCCL communicator was aborted"),
    ],
)
def test_a_lost_process_is_told_in_our_words(error: RuntimeError) -> None:
    with (
        pytest.raises(LostProcessError, match="another process of this run is gone") as raised,
        told_of_lost_processes(),
    ):
        raise error
    assert raised.value.__cause__ is error


def test_other_errors_are_left_alone() -> None:
    with pytest.raises(RuntimeError, match="shapes") as raised, told_of_lost_processes():
        raise RuntimeError("shapes differ")
    assert type(raised.value) is RuntimeError
