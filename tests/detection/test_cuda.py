"""On a GPU, in every precision."""

from pathlib import Path

import pytest
import torch

from decant.detection.pyramid_methods import PyramidReviewKDSettings
from decant.detection.region_methods import RegionDKDSettings
from decant.detection.run import train_detector
from decant.engine import Places
from detection.toy_runs import recipe, untrained_teacher

pytest.importorskip("faster_coco_eval", reason="needs the extra [detection]")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_run_on_a_gpu(tmp_path: Path, precision: str) -> None:
    planned = recipe(RegionDKDSettings(), PyramidReviewKDSettings(), precision=precision)
    places = Places(teachers=tmp_path, device="cuda")
    summary = train_detector(planned, tmp_path / "run", places, teacher=untrained_teacher())
    assert summary["finished"]
    assert 0 < summary["last"]["train_loss"] < 100
    assert summary["last"]["terms"]["nckd_background"] > 0
