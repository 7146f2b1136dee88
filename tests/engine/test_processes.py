"""Runs in processes of their own: killed at random moments, and two at once."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import decant as decant_package
from decant.engine.judge import evaluate_run
from engine.tiny import places, rows_of, weights_of

pytestmark = pytest.mark.slow

TEACHER = """
[student]
name = "digits_teacher"
[data]
name = "fake"
padding = 1
fake_train = {images}
fake_test = 51
fake_classes = 8
fake_pixels = 8
[train]
epochs = 2
batch_size = 16
learning_rate = 0.05
"""
STUDENT = """
[student]
name = "{student}"
[teacher]
{teacher}
[data]
name = "fake"
padding = 1
fake_train = {images}
fake_test = 51
fake_classes = 8
fake_pixels = 8
[method]
name = "dkd"
warmup = 3
[train]
epochs = {epochs}
batch_size = 16
learning_rate = 0.05
schedule = {{ name = "onecycle" }}
"""
FROM_WEIGHTS = 'name = "digits_teacher"\nweights = "taught/student.safetensors"'
FROM_RECIPE = 'recipe = "teacher.toml"'


def decant(folder: Path, recipe: Path) -> list[str]:
    options = ["--out", str(folder), "--device", "cpu", "--threads", "1"]
    return [sys.executable, "-m", "decant", "train", str(recipe), *options]


def taught(folder: Path, images: int) -> None:
    """Leave trained weights of a teacher where ``FROM_WEIGHTS`` looks for them."""
    (folder / "teacher.toml").write_text(TEACHER.format(images=images))
    subprocess.run(decant(folder / "taught", folder / "teacher.toml"), check=True, capture_output=True)


def judged(folder: Path) -> int:
    """How many epochs the run has been judged after."""
    metrics = folder / "metrics.jsonl"
    return metrics.read_text().count("\n") if metrics.exists() else 0


@pytest.mark.parametrize("extra", ["", "ema = 0.99\n", "accumulate = 3\n"], ids=["plain", "ema", "accumulate"])
def test_a_run_that_is_killed_again_and_again_ends_bit_equal(tmp_path: Path, extra: str) -> None:
    taught(tmp_path, images=1024)
    recipe, whole, killed = tmp_path / "recipe.toml", tmp_path / "whole", tmp_path / "killed"
    text = STUDENT.format(student="digits_student", teacher=FROM_WEIGHTS, images=1024, epochs=16)
    recipe.write_text(text + extra)
    subprocess.run(decant(whole, recipe), check=True, capture_output=True)
    summary = json.loads((whole / "summary.json").read_text())
    epoch = summary["seconds"] / summary["epochs"]
    generator = random.Random(extra)
    kills = 0
    for _ in range(4):
        before = judged(killed)
        process = subprocess.Popen(decant(killed, recipe), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while judged(killed) <= before and process.poll() is None:
            time.sleep(0.001)
        time.sleep(generator.uniform(0, 1.5 * epoch))  # anywhere: in a step, an evaluation, a checkpoint
        process.kill()
        process.communicate()
        kills += process.returncode != 0
    assert kills >= 3, "the run was over before it could be killed"
    assert not (killed / "summary.json").exists()
    done = subprocess.run(decant(killed, recipe), check=True, capture_output=True, text=True)
    assert "goes on after epoch" in done.stdout
    left, right = weights_of(whole), weights_of(killed)
    assert left.keys() == right.keys()
    assert all(torch.equal(left[key], right[key]) for key in left)
    assert rows_of(killed) == rows_of(whole)


def test_a_run_with_a_table_that_is_killed_again_and_again_ends_bit_equal(tmp_path: Path) -> None:
    """Against a run with a table of its own: whatever the kills left in the shared one is right."""
    taught(tmp_path, images=1024)
    recipe, whole, killed = tmp_path / "recipe.toml", tmp_path / "whole", tmp_path / "killed"
    recipe.write_text(
        STUDENT.format(student="digits_student", teacher=FROM_WEIGHTS, images=1024, epochs=16)
        + 'teacher_cache = "views"\n'
    )

    def command(folder: Path) -> list[str]:
        return [*decant(folder, recipe), "--teachers", str(folder) + "-tables"]

    subprocess.run(command(whole), check=True, capture_output=True)
    summary = json.loads((whole / "summary.json").read_text())
    epoch = summary["seconds"] / summary["epochs"]
    generator, kills = random.Random(7), 0
    for _ in range(4):
        before = judged(killed)
        process = subprocess.Popen(command(killed), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while judged(killed) <= before and process.poll() is None:
            time.sleep(0.001)
        time.sleep(generator.uniform(0, 1.5 * epoch))  # anywhere: in a step, a flush, a checkpoint
        process.kill()
        process.communicate()
        kills += process.returncode != 0
    assert kills >= 3, "the run was over before it could be killed"
    subprocess.run(command(killed), check=True, capture_output=True)
    left, right = weights_of(whole), weights_of(killed)
    assert all(torch.equal(left[key], right[key]) for key in left)
    one, other = rows_of(whole), rows_of(killed)
    assert one[0]["teacher_hits"] == 0
    for row in (*one, *other):
        del row["teacher_hits"]  # what a killed process flushed is a hit of the next one
    assert one == other
    # Entry for entry, too: a bit that is set vouches for the same numbers in both.
    tables = [next(Path(f"{folder}-tables").glob("views/*")) for folder in (whole, killed)]
    filled = [np.unpackbits(np.fromfile(table / "filled.bin", np.uint8)).astype(bool) for table in tables]
    assert (filled[0] == filled[1]).all()
    logits = [np.fromfile(table / "logits.bin", np.float16).reshape(-1, 8) for table in tables]
    assert (logits[0][filled[0][: len(logits[0])]] == logits[1][filled[1][: len(logits[1])]]).all()
    assert filled[0].sum() > 1024


FILLER = """
import sys
import decant.engine.fill_table as filling
from decant.cli import app

filling._SECONDS_BETWEEN_FLUSHES = 0.0  # so that kills come between flushes, and into them
app(sys.argv[1:])
"""


def test_a_table_whose_filling_is_killed_again_and_again_ends_bit_equal(tmp_path: Path) -> None:
    taught(tmp_path, images=1024)
    (tmp_path / "filler.py").write_text(FILLER)
    (tmp_path / "recipe.toml").write_text(
        STUDENT.format(student="digits_student", teacher=FROM_WEIGHTS, images=1024, epochs=1)
    )

    def command(name: str) -> list[str]:
        options = ["--all", "--teachers", str(tmp_path / name), "--device", "cpu", "--threads", "1"]
        return [sys.executable, str(tmp_path / "filler.py"), "cache", str(tmp_path / "recipe.toml"), *options]

    def filled(name: str) -> int:
        bits = next((tmp_path / name).glob("views/*/filled.bin"), None)
        return int(np.unpackbits(np.fromfile(bits, np.uint8)).sum()) if bits is not None else 0

    subprocess.run(command("whole"), check=True, capture_output=True)
    assert filled("whole") == 1024 * 18
    generator = random.Random(3)
    for _ in range(4):
        before = filled("killed")
        process = subprocess.Popen(command("killed"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while filled("killed") <= before and process.poll() is None:
            time.sleep(0.001)
        time.sleep(generator.uniform(0, 0.1))  # anywhere: in the teacher's pass, a write, a flush
        process.kill()
        process.communicate()
        assert before < filled("killed") < 1024 * 18, "killed too late, or nothing was kept"
    done = subprocess.run(command("killed"), check=True, capture_output=True, text=True)
    assert "100.0% of the table filled" in " ".join(done.stdout.split())
    for file in ("logits.bin", "filled.bin", "table.json"):
        one, other = (next((tmp_path / name).glob(f"views/*/{file}")).read_bytes() for name in ("whole", "killed"))
        assert one == other, file


def test_two_processes_fill_one_table_and_learn_what_one_does(tmp_path: Path) -> None:
    """Every loss within 1e-4 relative, as without a table; each process fills what its half of the samples meets."""
    taught(tmp_path, images=128)
    text = STUDENT.format(student="plain", teacher=FROM_WEIGHTS, images=128, epochs=4) + 'teacher_cache = "views"\n'
    (tmp_path / "recipe.toml").write_text(text)
    for processes in (1, 2):
        folder = tmp_path / f"of {processes}"
        folder.mkdir()
        launched(processes, folder / "run", tmp_path / "recipe.toml")
    one, two = (rows_of(tmp_path / f"of {processes}" / "run") for processes in (1, 2))
    for left, right in zip(one, two, strict=True):
        assert right["train_loss"] == pytest.approx(left["train_loss"], rel=1e-4)
        assert right["teacher_hits"] == left["teacher_hits"]
    assert 0 < one[-1]["teacher_hits"] < 1
    filled = [next((tmp_path / f"of {n}").glob("teachers/views/*/filled.bin")).read_bytes() for n in (1, 2)]
    assert filled[0] == filled[1]


WORKER = """
import sys
from pathlib import Path
from decant.engine import Places, train
from decant.engine.progress import Reporter
from decant.models import TINY
from decant.recipe import load_recipe
from engine.tiny import Plain


class Aloud(Reporter):
    def say(self, text):
        print(text)


TINY["plain"] = Plain  # without BatchNorm, whose statistics would be of half a batch
out, recipe, shard = Path(sys.argv[1]), load_recipe(sys.argv[2]), sys.argv[3:] == ["shard"]
places = Places(teachers=out.parent / "teachers", device="cpu", shard=shard)
assert train(recipe, out, places, reporter=Aloud())["finished"]
"""


def launched(processes: int, folder: Path, recipe: Path, *, shard: bool = False) -> str:
    """Train in so many processes, to the end; what they said."""
    worker = folder.parent / "worker.py"
    worker.write_text(WORKER)
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [sys.executable, *(launcher if processes > 1 else []), str(worker), str(folder), str(recipe)]
    command += ["shard"] if shard else []
    path = os.pathsep.join(
        str(folder) for folder in (Path(__file__).parents[1], Path(decant_package.__file__).parents[1])
    )
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "extra",
    ["", "ema = 0.9\n", "accumulate = 2\n", 'accumulate = 2\noptimizer = { name = "dot" }\n'],
    ids=["plain", "ema", "accumulate", "dot"],
)
def test_two_processes_learn_what_one_does(tmp_path: Path, extra: str) -> None:
    """Every loss within 1e-4 relative and every weight within 1e-4: float32 summed in another order, 32 steps long."""
    taught(tmp_path, images=128)
    text = STUDENT.format(student="plain", teacher=FROM_WEIGHTS, images=128, epochs=4)
    (tmp_path / "recipe.toml").write_text(text + extra)
    for processes in (1, 2):
        launched(processes, tmp_path / str(processes), tmp_path / "recipe.toml")
    assert json.loads((tmp_path / "2" / "environment.json").read_text())["processes"] == 2
    one, two = rows_of(tmp_path / "1"), rows_of(tmp_path / "2")
    assert [row["epoch"] for row in two] == [1, 2, 3, 4]
    for left, right in zip(one, two, strict=True):
        assert left["samples"] == right["samples"] == 51, "an odd number, shared by two, and each counted once"
        for name in ("loss", "train_loss"):
            assert right[name] == pytest.approx(left[name], rel=1e-4)
        assert right["terms"] == pytest.approx(left["terms"], rel=1e-4)
    assert one[-1]["train_loss"] < 0.9 * one[0]["train_loss"], "nothing was learned, so nothing was compared"
    torch.testing.assert_close(weights_of(tmp_path / "2"), weights_of(tmp_path / "1"), rtol=0, atol=1e-4)


def test_two_compiled_processes_learn_what_one_does_uncompiled(tmp_path: Path) -> None:
    """Every loss within 1e-4 relative; the last batch of an epoch is a smaller one and runs uncompiled."""
    taught(tmp_path, images=136)
    for name, extra in (("eager", ""), ("compiled", "compile = true\n")):
        text = STUDENT.format(student="plain", teacher=FROM_WEIGHTS, images=136, epochs=3)
        (tmp_path / f"{name}.toml").write_text(text + extra)
    launched(1, tmp_path / "eager", tmp_path / "eager.toml")
    said = launched(2, tmp_path / "compiled", tmp_path / "compiled.toml")
    if "train.compile does not work here" in said:
        pytest.skip("there is no compiler here")
    assert "train.compile: compiling" in said
    one, two = rows_of(tmp_path / "eager"), rows_of(tmp_path / "compiled")
    for left, right in zip(one, two, strict=True):
        assert right["train_loss"] == pytest.approx(left["train_loss"], rel=1e-4)
        assert right["terms"] == pytest.approx(left["terms"], rel=1e-4)
    torch.testing.assert_close(weights_of(tmp_path / "compiled"), weights_of(tmp_path / "eager"), rtol=0, atol=1e-4)
    assert weights_of(tmp_path / "compiled").keys() == weights_of(tmp_path / "eager").keys()


def test_two_processes_train_their_teacher_first_and_read_it_together(tmp_path: Path) -> None:
    (tmp_path / "teacher.toml").write_text(TEACHER.format(images=64))
    text = STUDENT.format(student="digits_student", teacher=FROM_RECIPE, images=64, epochs=2)
    (tmp_path / "recipe.toml").write_text(text)
    launched(2, tmp_path / "run", tmp_path / "recipe.toml")
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["teacher"]["name"] == "digits_teacher"
    # Each process gathers BatchNorm statistics of its own; what is judged is what is saved all the same.
    judged_again = evaluate_run(tmp_path / "run", places(tmp_path)).score
    assert judged_again.loss == pytest.approx(summary["last"]["loss"], rel=1e-5)
    assert judged_again.top1 == summary["last"]["top1"]
    before = (tmp_path / "run" / "metrics.jsonl").read_text()
    launched(2, tmp_path / "run", tmp_path / "recipe.toml")
    assert (tmp_path / "run" / "metrics.jsonl").read_text() == before
