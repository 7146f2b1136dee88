"""Two processes train one detector: equal weights in both, every test picture judged once, and the steps of one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import decant
from decant.detection.judge import evaluate_detection_run
from engine.tiny import places, rows_of

pytestmark = pytest.mark.slow
pytest.importorskip("faster_coco_eval", reason="needs the extra [detection]")

WORKER = """
import sys
from pathlib import Path

import torch

import decant.detection.run as run
from decant.engine import Places
from detection.toy_runs import recipe, untrained_teacher
from decant.detection.pyramid_methods import PyramidReviewKDSettings
from decant.detection.region_methods import RegionDKDSettings

out = Path(sys.argv[1])
planned = recipe(RegionDKDSettings(), PyramidReviewKDSettings(), batch_size=4)
places = Places(teachers=out.parent, device="cpu")
made = []
real = run.DetectionTraining
run.DetectionTraining = lambda *arguments: made.append(real(*arguments)) or made[-1]
assert run.train_detector(planned, out, places, teacher=untrained_teacher(), announce=False)["finished"]
(training,) = made
for value in training.distiller.parameters():
    both = [torch.empty_like(value) for _ in range(training.parallel.world)]
    torch.distributed.all_gather(both, value.detach())
    assert torch.equal(both[0], both[1])
"""


ALIKE = """
import sys
from pathlib import Path

import torch

import decant.detection.run as run
import decant.detection.training as training
from decant.engine import Places
from detection.toy_runs import recipe, untrained_teacher
from decant.detection.pyramid_methods import PyramidReviewKDSettings
from decant.detection.region_methods import RegionDKDSettings

out = Path(sys.argv[1])
supply = training.PictureSupply
training.PictureSupply = lambda *pictures, rank, world, **others: supply(*pictures, rank=0, world=1, **others)
training.DetectionTraining._draw_anew = lambda self, epoch: torch.manual_seed(epoch)
planned = recipe(RegionDKDSettings(), PyramidReviewKDSettings())
run.train_detector(planned, out, Places(out.parent, device="cpu"), teacher=untrained_teacher(), announce=False)
"""
"""Every process is shown what a single one would be shown, and draws the same regions from it."""


def launch(script: str, folder: Path, out: str, processes: int) -> None:
    (folder / "worker.py").write_text(script)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    path = [str(Path(__file__).parents[1]), str(Path(decant.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, str(folder / "worker.py"), str(folder / out)], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr


def test_two_processes_train_one_detector(tmp_path: Path) -> None:
    launch(WORKER, tmp_path, "run", 2)
    assert json.loads((tmp_path / "run" / "environment.json").read_text())["processes"] == 2
    last = rows_of(tmp_path / "run")[-1]
    assert last["pictures"] == 4
    _, score = evaluate_detection_run(tmp_path / "run", places(tmp_path))
    assert score.ap == pytest.approx(last["ap"], abs=1e-6)
    assert score.ar100 == pytest.approx(last["ar100"], abs=1e-6)


def test_two_processes_that_see_the_same_take_the_steps_of_one(tmp_path: Path) -> None:
    """Gradients are averaged over processes: the mean of two equal ones is that of one, in every step."""
    for processes in (1, 2):
        launch(ALIKE, tmp_path, f"run-{processes}", processes)
    one, two = (rows_of(tmp_path / f"run-{processes}") for processes in (1, 2))
    for row, other in zip(one, two, strict=True):
        assert other["train_loss"] == pytest.approx(row["train_loss"], rel=1e-5)
        assert other["terms"] == pytest.approx(row["terms"], rel=1e-4, abs=1e-6)
    student, shared = (load_file(tmp_path / f"run-{processes}" / "student.safetensors") for processes in (1, 2))
    for name, value in student.items():
        torch.testing.assert_close(shared[name], value, rtol=1e-4, atol=1e-6)
