"""What a training never does unless it is asked: reach the network, keep secrets, write outside of its folders."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import decant as decant_package
from decant.engine import train
from decant.engine.record import keep_recipe
from decant.recipe import load_recipe
from engine.tiny import contents, places, recipe

RECIPE = """
[student]
name = "digits_student"
[teacher]
recipe = "teacher.toml"
[data]
name = "digits"
[method]
name = "dkd"
[train]
epochs = 1
"""
TEACHER = """
[student]
name = "digits_student"
[data]
name = "digits"
[train]
epochs = 1
"""
WITHOUT_NETWORK = """
import sys


def refuse(event, arguments):
    if event in {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"}:
        print("THE NETWORK:", event, arguments, flush=True)
        raise RuntimeError(f"{event} {arguments}")


sys.addaudithook(refuse)
if sys.argv[1] == "reach":
    import urllib.request

    urllib.request.urlopen("http://127.0.0.1:9")
from decant.cli import main

main()
"""
METHOD = """
from dataclasses import dataclass

from decant.methods import KDSettings


@dataclass(frozen=True)
class Mine(KDSettings):
    pass
"""


def without_network(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(decant_package.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", WITHOUT_NETWORK, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, check=False)


def test_training_reaches_no_network(tmp_path: Path) -> None:
    (tmp_path / "teacher.toml").write_text(TEACHER)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    done = without_network(tmp_path, "train", "recipe.toml", "--device", "cpu", "--out", "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "THE NETWORK" not in done.stdout
    assert (tmp_path / "run" / "summary.json").exists()


def test_reaching_it_would_have_been_noticed(tmp_path: Path) -> None:
    done = without_network(tmp_path, "reach")
    assert done.returncode != 0
    assert "THE NETWORK" in done.stdout


def test_nothing_out_of_the_environment_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_API_KEY", "MLFLOW_TRACKING_PASSWORD", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "USER", "HOSTNAME"):
        monkeypatch.setenv(name, f"hidden-{name.lower()}")
    train(recipe(), tmp_path / "run", places(tmp_path))
    kept = contents(tmp_path / "run")
    assert "environment.json" in kept
    assert [name for name, content in kept.items() if b"hidden-" in content] == []


def test_code_named_by_a_path_that_leaves_the_folder_is_kept_inside(tmp_path: Path) -> None:
    """A run folder takes the file's name, never its path."""
    (tmp_path / "mine.py").write_text(METHOD)
    (tmp_path / "inside").mkdir()
    text = RECIPE.replace('name = "dkd"', 'name = "../mine.py:Mine"').replace("teacher.toml", "../teacher.toml")
    (tmp_path / "teacher.toml").write_text(TEACHER)
    (tmp_path / "inside" / "recipe.toml").write_text(text)
    loaded = load_recipe(tmp_path / "inside" / "recipe.toml", trust_code=True)
    (tmp_path / "runs" / "run").mkdir(parents=True)
    keep_recipe(tmp_path / "runs" / "run" / "recipe.json", loaded)
    assert sorted(contents(tmp_path / "runs")) == ["run/mine.py", "run/recipe.json"]
    assert str(tmp_path) not in (tmp_path / "runs" / "run" / "recipe.json").read_text()
