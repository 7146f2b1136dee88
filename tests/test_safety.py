"""What a training never does unless it is asked: reach the network, keep secrets, write outside of its folders."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import decant as decant_package
from decant.engine import train
from decant.engine.checkpoint import save_weights
from decant.engine.record import keep_recipe
from decant.recipe import NetworkSettings, TeacherSettings, load_recipe
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
LOADING = """
import sys


def refuse(event, arguments):
    if event in {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"}:
        print("THE NETWORK:", event, arguments, flush=True)
        raise RuntimeError(f"{event} {arguments}")
    if event == "open" and "another" in str(arguments[0]):
        print("ANOTHER FILE:", arguments[0], flush=True)


sys.addaudithook(refuse)
if sys.argv[1] == "reach":
    open("another")
from decant import load_student

for name in sys.argv[1:]:
    try:
        load_student(name)
    except ValueError as error:
        print(f"{name}: refused: {error}", flush=True)
"""
METHOD = """
from dataclasses import dataclass

from decant.methods import KDSettings


@dataclass(frozen=True)
class Mine(KDSettings):
    pass
"""


def without_network(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return python(WITHOUT_NETWORK, folder, *arguments)


def python(script: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(decant_package.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", script, *arguments]
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


HEADERS: dict[str, tuple[str, dict[str, Any], str]] = {
    "timms-hub": ("timm", {"network": "timm/hf-hub:owner/name"}, "has no network 'hf-hub:owner/name'"),
    "timms-folder": ("timm", {"network": "timm/local-dir:another"}, "has no network 'local-dir:another'"),
    "timms-file": (
        "timm",
        {"network": "timm/resnet10t", "options": {"checkpoint_path": "another.pt"}},
        "checkpoint_path of its weights",
    ),
    "timms-weights": (
        "timm",
        {"network": "timm/resnet10t", "options": {"pretrained_cfg": {"file": "another.pt"}, "cache_dir": "another"}},
        "cache_dir, pretrained_cfg of its weights",
    ),
    "wrapped-config": (
        "transformers",
        {"network": "hf/a", "config": {"model_type": "timm_wrapper", "architecture": "hf-hub:owner/name"}},
        "name this one timm/NAME",
    ),
    "wrapped-kind": (
        "transformers",
        {"network": "hf/timm_wrapper", "options": {"architecture": "hf-hub:owner/name"}},
        "has no network 'timm_wrapper'",
    ),
    "a-folder": ("transformers", {"network": "hf/./another"}, "has no network './another'"),
    "a-hub": ("transformers", {"network": "hf/owner/name"}, "has no network 'owner/name'"),
    "fetched-code": (
        "transformers",
        {"network": "hf/resnet", "options": {"attn_implementation": "owner/name"}},
        "attn_implementation may fetch code",
    ),
}


def test_a_students_header_reaches_no_network_and_opens_no_file(tmp_path: Path) -> None:
    """Whoever gives a file away writes its header: no name in it is looked up anywhere."""
    (tmp_path / "another").mkdir()
    (tmp_path / "another" / "config.json").write_text('{"model_type": "resnet"}')
    torch.save({}, tmp_path / "another.pt")
    headers = {name: each for name, each in HEADERS.items() if importlib.util.find_spec(each[0])}
    if not headers:
        pytest.skip("needs the extra [timm] or [hf]")
    sees = {"size": [8, 8], "resize": 8, "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bilinear"}
    for name, (_, about, _) in headers.items():
        told = {"options": {}, "classes": ["a", "b"], "sees": sees} | about
        save_weights(tmp_path / f"{name}.safetensors", {"weight": torch.zeros(1)}, {"decant": json.dumps(told)})
    done = python(LOADING, tmp_path, *(f"{name}.safetensors" for name in headers))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "THE NETWORK" not in done.stdout
    assert "ANOTHER FILE" not in done.stdout
    refused = dict(line.split(": refused: ", 1) for line in done.stdout.splitlines() if ": refused: " in line)
    for name, (_, _, said) in headers.items():
        assert said in refused[f"{name}.safetensors"]


def test_opening_another_file_would_have_been_noticed(tmp_path: Path) -> None:
    assert "ANOTHER FILE: another" in python(LOADING, tmp_path, "reach").stdout


@pytest.mark.parametrize("part", ["student", "teacher"])
def test_a_recipe_names_no_file_of_weights_among_options(tmp_path: Path, part: str) -> None:
    pytest.importorskip("timm")
    kind = NetworkSettings if part == "student" else TeacherSettings
    with pytest.raises(ValueError, match="checkpoint_path of its weights: name those with `weights`"):
        kind(name="timm/resnet10t", options={"checkpoint_path": str(tmp_path / "x.pt")}, pretrained=part == "teacher")


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
