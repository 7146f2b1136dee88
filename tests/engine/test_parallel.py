from pathlib import Path

import pytest
import torch
from torch import nn

from decant.engine import train
from decant.engine.parallel import Parallel
from engine.tiny import on_cpu, places, recipe, weights_of


@pytest.mark.parametrize(
    ("device", "precision", "message"),
    [
        ("gpu", "fp32", "device is 'auto', 'cpu' or 'cuda', got 'gpu'"),
        ("cpu", "fp16", "precision 'fp16' needs a CUDA device; use 'fp32' or 'bf16' on the CPU"),
    ],
)
def test_what_this_machine_cannot_do_is_refused(device: str, precision: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Parallel(device=device, precision=precision)


def test_cuda_is_not_silently_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ValueError, match="torch finds no CUDA device; use 'cpu' or 'auto'"):
        Parallel(device="cuda")
    assert Parallel(device="auto").device.type == "cpu"


def test_runs_of_two_precisions_follow_each_other_in_one_process() -> None:
    linear, ones = nn.Linear(2, 2), torch.ones(1, 2)
    for precision, expected in (("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp32", torch.float32)):
        parallel = on_cpu(precision)
        with parallel.autocast():
            assert linear(ones).dtype == expected
        assert parallel.prepare(nn.Linear(2, 2))(ones).dtype == torch.float32, "losses are worked in float32"


def test_one_process_is_rank_0_of_1() -> None:
    parallel = on_cpu()
    assert (parallel.rank, parallel.world, parallel.main, parallel.scaler) == (0, 1, True, None)
    assert parallel.total(torch.tensor([2.0, 3.0])).tolist() == [2.0, 3.0]


def test_a_device_that_the_environment_chose_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_TORCH_DEVICE", "meta")
    with pytest.raises(RuntimeError, match="moved the run to meta; unset ACCELERATE_TORCH_DEVICE"):
        on_cpu()
    monkeypatch.undo()
    assert on_cpu().device.type == "cpu"


def test_no_environment_variable_decides_a_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(recipe(), tmp_path / "quiet", places(tmp_path))
    for name, value in {
        "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "4",
        "ACCELERATE_MIXED_PRECISION": "bf16",
        "ACCELERATE_DYNAMO_BACKEND": "EAGER",
    }.items():
        monkeypatch.setenv(name, value)
    train(recipe(), tmp_path / "loud", places(tmp_path))
    quiet, loud = weights_of(tmp_path / "quiet"), weights_of(tmp_path / "loud")
    assert all(torch.equal(quiet[key], loud[key]) for key in quiet)
