"""Networks divided among processes: refused where that cannot be, and resumed as what they are, whole or divided."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from torch import nn

import decant
from decant.engine import train
from decant.engine.across_processes import refuse_undivided, refuse_unsynchronised, synchronised
from decant.engine.blocks import blocks_of
from decant.engine.distiller import Distiller
from decant.engine.parallel import Parallel
from decant.engine.places import Places
from decant.models import create
from decant.recipe import DOTSettings, TrainSettings
from engine.tiny import CLASSES, on_cpu, recipe
from engine.toy_methods import network

WORKER = """
import os
import signal
import sys
from pathlib import Path

import torch
import torch.distributed as dist

import decant.engine.training as training
from decant.engine import Places, train
from decant.engine.termination import TerminatedError
from decant.methods import METHODS, CRDSettings, DKDSettings
from engine.tiny import recipe, rows_of, untrained_teacher, weights_of

out = Path(sys.argv[1])
real = training.Training.fit_epoch


def places(shard):
    return Places(teachers=out, device="cpu", shard=shard)


def run(name, planned, *, shard):
    train(planned, out / name, places(shard), teacher=untrained_teacher())
    return rows_of(out / name), weights_of(out / name)


def ended_after_an_epoch(name, planned, *, shard):
    def fit(self, epoch, *rest, **more):
        if epoch == 1 and dist.get_rank() == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(self, epoch, *rest, **more)

    training.Training.fit_epoch = fit
    try:
        train(planned, out / name, places(shard), teacher=untrained_teacher())
    except TerminatedError:
        assert not (out / name / "summary.json").exists()
    else:
        raise AssertionError("it ran to its end")
    finally:
        training.Training.fit_epoch = real


def same(left, right, bits):
    for a, b in zip(left[0], right[0], strict=True):
        assert a["train_loss"] == b["train_loss"] if bits else abs(a["train_loss"] - b["train_loss"]) < 1e-4, (a, b)
    tolerance = {"rtol": 0, "atol": 0 if bits else 1e-4}
    torch.testing.assert_close(left[1], right[1], **tolerance)


def say(text):
    if dist.get_rank() == 0:
        print(text, flush=True)


planned = recipe(DKDSettings(), ema=0.9, learning_rate=0.02)
divided, whole = run("divided", planned, shard=True), run("whole", planned, shard=False)
same(divided, whole, bits=False)
for first, then in ((True, True), (True, False), (False, True)):
    name = f"{first} {then}"
    ended_after_an_epoch(name, planned, shard=first)
    same(run(name, planned, shard=then), divided if then else whole, bits=first and then)
    say("resumed " + name)
for method in (METHODS["reviewkd"](), METHODS["sdd"](), METHODS["simkd"](), CRDSettings(negatives=32), METHODS["nd"]()):
    planned = recipe(method, epochs=1, learning_rate=0.02, weights_type="fp16")
    runs = [run(f"{method.name} {shard}", planned, shard=shard) for shard in (True, False)]
    worst = max(float((a.float() - b.float()).abs().max()) for a, b in zip(runs[0][1].values(), runs[1][1].values()))
    assert worst < 2e-3, (method.name, worst)
    say("trained " + method.name)
try:
    run("ctkd", recipe(METHODS["ctkd"]()), shard=True)
except ValueError as error:
    assert "--shard cannot divide single numbers (theta)" in str(error)
    say("refused ctkd")
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_divided_networks_are_resumed_whole_and_the_other_way_round(tmp_path: Path) -> None:
    (tmp_path / "worker.py").write_text(WORKER)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    folders = (Path(__file__).parents[1], Path(decant.__file__).parents[1])
    path = os.pathsep.join(str(folder) for folder in folders)
    done = subprocess.run(
        [*command, str(tmp_path / "worker.py"), str(tmp_path / "runs")],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert (done.stdout.count("resumed"), done.stdout.count("trained"), done.stdout.count("refused")) == (3, 5, 1)


def test_one_process_has_nobody_to_share_with(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--shard divides the parameters among several processes, but there is one"):
        train(recipe(), tmp_path / "run", Places(teachers=tmp_path, device="cpu", shard=True))
    assert not (tmp_path / "run").exists()


def test_whatever_needs_whole_parameters_is_refused_at_once() -> None:
    settings = TrainSettings(optimizer=DOTSettings(), on_nonfinite="skip")
    with pytest.raises(ValueError, match=r"--shard does not go with train.optimizer dot and train.on_nonfinite"):
        refuse_undivided(settings)
    refuse_undivided(TrainSettings())


def test_blocks_are_those_of_the_stages() -> None:
    made = create("resnet20", num_classes=CLASSES)
    blocks = list(blocks_of(made))
    assert len(blocks) == 9
    assert {type(block).__name__ for block in blocks} == {"BasicBlock"}


def test_shared_parameters_leave_no_blocks() -> None:
    inner = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    assert list(blocks_of(nn.ModuleList([nn.ModuleDict({"a": inner}), nn.ModuleDict({"b": inner})]))) == []


def test_the_launcher_cannot_divide_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    parallel = on_cpu()
    kind = type(parallel._accelerator.distributed_type)("FSDP")
    monkeypatch.setattr("accelerate.Accelerator.distributed_type", kind)
    with pytest.raises(RuntimeError, match="the launcher asked for FSDP; launch plain processes"):
        Parallel(device="cpu")


class TwoOnTheCPU(Parallel):
    """Says that it is one of two."""

    @property
    def world(self) -> int:
        return 2


def test_batchnorm_is_not_synchronised_on_the_cpu() -> None:
    student = create("digits_student", num_classes=CLASSES)
    assert synchronised(student, on_cpu()) is student, "one process has the whole batch"
    with pytest.raises(ValueError, match=r"train\.sync_batchnorm needs CUDA"):
        synchronised(student, TwoOnTheCPU(device="cpu"))


def test_a_batchnorm_that_is_left_out_is_named() -> None:
    distiller = Distiller(nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4)), network(9, 2), "kd")
    refuse_unsynchronised(distiller, on_cpu())
    with pytest.raises(ValueError, match=r"but the method has _student.network.1 of its own"):
        refuse_unsynchronised(distiller, TwoOnTheCPU(device="cpu"))
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(distiller)
    refuse_unsynchronised(converted, TwoOnTheCPU(device="cpu"))
