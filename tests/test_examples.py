"""Every example runs as a user would run it, and says something."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from decant import Batch, BuildContext, DKDSettings, Outputs, dkd_terms
from decant.recipe import load_recipe

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_it_runs(example: Path, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-W", "error", str(example)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert done.stderr == ""


def test_they_are_found() -> None:
    assert "01_one_loss" in {example.stem for example in EXAMPLES}


def test_the_recipe_beside_an_example_trains(tmp_path: Path) -> None:
    recipe = Path(__file__).parents[1] / "examples" / "03_your_own_method.toml"
    command = [sys.executable, "-W", "error", "-m", "decant", "train", str(recipe), "--device", "cpu"]
    short = ["--set", "train.epochs=2", "--set", "teacher.recipe.train.epochs=1", "--out", "run"]
    refused = subprocess.run([*command, *short], cwd=tmp_path, capture_output=True, text=True)
    assert refused.returncode == 2
    assert "03_your_own_method.py:CheckedDKDSettings is code" in refused.stderr
    done = subprocess.run([*command, *short, "--trust-code"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "digits_student by 03_your_own_method.py:CheckedDKDSettings on digits" in done.stdout
    assert (tmp_path / "run" / "03_your_own_method.py").is_file()


def test_the_network_of_an_example_trains_in_its_recipe(tmp_path: Path) -> None:
    recipe = Path(__file__).parents[1] / "examples" / "04_network_of_a_recipe.toml"
    command = [sys.executable, "-W", "error", "-m", "decant", "train", str(recipe), "--device", "cpu", "--trust-code"]
    short = ["--set", "train.epochs=1", "--set", "teacher.recipe.train.epochs=1", "--out", "run"]
    done = subprocess.run([*command, *short], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "04_network_of_a_recipe.py:make by dkd+sp on digits" in done.stdout
    assert (tmp_path / "run" / "04_network_of_a_recipe.py").is_file()


def test_the_method_of_an_example_is_dkd_where_it_checks_nothing() -> None:
    path = EXAMPLES[0].parent / "03_your_own_method.toml"
    settings: Any = load_recipe(path, ["method.wrong=1.0", "method.beta=3.0"], trust_code=True).method
    generator = torch.Generator().manual_seed(0)
    own, goal = (torch.randn(32, 10, generator=generator) for _ in range(2))
    target = torch.randint(10, (32,), generator=generator)
    batch = Batch((torch.zeros(32, 1, 8, 8),), target, torch.arange(32))
    context = BuildContext(torch.nn.Identity())
    whole = DKDSettings(beta=3.0, warmup=0).build(context)(Outputs(own), Outputs(goal), batch)
    same = settings.build(context)(Outputs(own), Outputs(goal), batch)
    assert same.keys() == whole.keys()
    for name, term in same.items():
        torch.testing.assert_close(term, whole[name])
    right = goal.argmax(1) == target
    assert 0 < right.sum() < 32
    checked = replace(settings, wrong=0.0).build(context)(Outputs(own), Outputs(goal), batch)
    terms = dkd_terms(own, goal, target, reduction="none")
    torch.testing.assert_close(checked["nckd"], terms.nckd[right].sum() / 32)
    torch.testing.assert_close(checked["tckd"], terms.tckd[right].sum() / 32)
