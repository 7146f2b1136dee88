"""Two processes train one detector: equal weights in both, every test picture judged once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_two_processes_train_one_detector(tmp_path: Path) -> None:
    (tmp_path / "worker.py").write_text(WORKER)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    path = [str(Path(__file__).parents[1]), str(Path(decant.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, str(tmp_path / "worker.py"), str(tmp_path / "run")], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "run" / "environment.json").read_text())["processes"] == 2
    last = rows_of(tmp_path / "run")[-1]
    assert last["pictures"] == 4
    _, score = evaluate_detection_run(tmp_path / "run", places(tmp_path))
    assert score.ap == pytest.approx(last["ap"], abs=1e-6)
    assert score.ar100 == pytest.approx(last["ar100"], abs=1e-6)
