"""Methods that compare samples, on two processes with half of a batch each: loss and gradients of the whole batch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import decant
from decant.engine import AllProcesses, Distiller
from decant.interfaces import UNLABELLED, Batch, Method, Outputs, Processes
from engine.toy_methods import batch, network

WORKER = """
import copy

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from decant.engine import AllProcesses, Distiller
from decant.interfaces import UNLABELLED, DataFacts
from decant.methods import CRDSettings, NCKDSettings
from decant.models import create

METHODS = {
    "dkd": "dkd",
    "dkd, partly labelled": "dkd",
    "supervised, partly labelled": "supervised",
    "sp": "sp",
    "pkt": "pkt",
    "rkd": "rkd",
    "dist": "dist",
    "luminet": "luminet",
    "mlkd": "mlkd",
    "half": NCKDSettings(samples="confident"),
    "crd": CRDSettings(negatives=64, dimension=16),
    "composed": ["dkd", "dist", "rkd"],
}
SIZE = 47  # odd, so that shares of a memory differ
dist.init_process_group("gloo")
among = AllProcesses()
facts = DataFacts(SIZE, tuple("abcdef"), torch.arange(SIZE) % 6)
# Of the first batch 4 and 6 samples keep their label, of the second 6 and none.
hidden = (torch.arange(SIZE) % 8 < 3) | ((torch.arange(SIZE) >= 16) & (torch.arange(SIZE) % 2 == 1))


def step(distiller, module, rows):
    index = torch.arange(SIZE)[rows]
    views = tuple(images[rows] + view for view in range(distiller.method.views))
    result = module(views, targets[index], index=index, epoch=300.0)
    result.loss.backward()
    gradients = {name: value.grad.clone() for name, value in distiller.named_parameters() if value.grad is not None}
    distiller.zero_grad()
    return result.loss.detach(), gradients


for name, method in METHODS.items():
    partly = name.endswith("partly labelled")
    targets = facts.targets.masked_fill(hidden, UNLABELLED) if partly else facts.targets
    torch.manual_seed(7)
    images = torch.randn(SIZE, 1, 8, 8, dtype=torch.float64)
    student, teacher = (create(of, num_classes=6) for of in ("digits_student", "digits_teacher"))
    whole = Distiller(student, teacher, method, example=images[:2].float(), facts=facts).double().train()
    for module in whole.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()  # statistics of a half are those of a half
    shared = copy.deepcopy(whole)
    shared.across(among, partly_labelled=partly)
    wrapped = DistributedDataParallel(shared)
    worst = 0.0
    for start in (0, 16):
        expected_rows = slice(start, start + 16)
        torch.manual_seed(start)
        loss, expected = step(whole, whole, expected_rows)
        torch.manual_seed(start)
        got, gradients = step(shared, wrapped, slice(start + among.rank, start + 16, among.world))
        dist.all_reduce(got)  # what a method does not gather is a mean over processes
        torch.testing.assert_close(got / among.world, loss, rtol=1e-5, atol=1e-7)
        assert gradients.keys() == expected.keys()
        largest = max(value.abs().max() for value in expected.values())
        for key, value in expected.items():
            worst = max(worst, float((gradients[key] - value).abs().max() / largest))
    assert worst < 1e-5, (name, worst)
    states = whole.state_dict(), shared.state_dict()
    assert states[0].keys() == states[1].keys()
    for key, value in states[0].items():
        torch.testing.assert_close(states[1][key], value, rtol=1e-9, atol=1e-12)
    shares = {key: value.shape for key, value in shared.method.named_buffers() if "memory" in key}
    assert all(shape == (SIZE // 2 + (among.rank == 0), 16) for shape in shares.values()), shares
    shared.load_state_dict(states[0])
    for key, value in shared.state_dict().items():
        torch.testing.assert_close(value, states[0][key], rtol=0, atol=0)
    if among.rank == 0:
        print(f"{name}: loss {loss:.6f}, gradients within {worst:.1e} of the largest", flush=True)
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_half_a_batch_in_each_of_two_processes_is_the_whole_batch(tmp_path: Path) -> None:
    (tmp_path / "worker.py").write_text(WORKER)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = {**os.environ, "PYTHONPATH": str(Path(decant.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, str(tmp_path / "worker.py")], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("gradients within") == 12


class Twice:
    """Stands for two processes: the other one has the same rows, but for their sign."""

    rank, world = 0, 2

    def gather(self, rows: Tensor) -> Tensor:
        return torch.stack([rows, -rows], dim=1).flatten(0, 1)

    def shared(self, values: Tensor) -> Tensor:
        return values

    def total(self, values: Tensor) -> Tensor:
        return 2 * values


class Seeing(Method):
    """Keeps what it saw."""

    taps = ("hidden",)
    gather = True

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("memory", torch.zeros(3))
        self.seen: list[tuple[Outputs, Outputs, Batch]] = []
        self.among: list[Processes] = []

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        self.seen.append((student, teacher, batch))
        return {"hard": F.mse_loss(student.logits, teacher.logits)}

    def weights(self, epoch: float) -> dict[str, float]:
        return {"hard": 1.0}

    def divide(self, processes: Processes) -> None:
        self.among.append(processes)


def seeing(*, gather: bool) -> tuple[Distiller, Seeing]:
    method = Seeing()
    method.gather = gather
    taps = {"hidden": "2"}
    return Distiller(network(5, 1), network(9, 2), method, student_taps=taps, teacher_taps=taps), method


def test_a_method_that_gathers_sees_the_batch_of_all_processes_without_images() -> None:
    distiller, method = seeing(gather=True)
    distiller.across(Twice())
    images, target = batch(4)
    distiller(images, target, index=torch.tensor([3, 5, 7, 9]))
    ((student, teacher, seen),) = method.seen
    assert len(student.logits) == len(teacher.logits) == len(student.taps["hidden"]) == len(teacher.taps["hidden"]) == 8
    assert seen.index.tolist() == [3, -3, 5, -5, 7, -7, 9, -9]
    assert seen.target is not None
    assert seen.target[::2].equal(target)
    assert seen.images == seen.view_ids == ()
    assert len(method.among) == 1
    assert distiller._ddp_params_and_buffers_to_ignore == ["method.memory"]


def test_other_methods_see_their_own_part() -> None:
    distiller, method = seeing(gather=False)
    distiller.across(Twice())
    images, target = batch(4)
    distiller(images, target)
    ((student, _, seen),) = method.seen
    assert len(student.logits) == len(seen.index) == len(seen.images[0]) == 4
    assert method.among == []


class Counted(Twice):
    """Stands for two processes with so many labels together."""

    def __init__(self, labels: int) -> None:
        self.labels = labels

    def total(self, values: Tensor) -> Tensor:
        return torch.full_like(values, self.labels)


@pytest.mark.parametrize("shown", [[0, 2, 4, 5], [0, 2, 4], []])
def test_the_task_loss_of_two_processes_is_the_mean_over_the_labels_of_both(shown: list[int]) -> None:
    images, target = batch(8)
    hidden = torch.full_like(target, UNLABELLED)
    hidden[shown] = target[shown]
    whole = Distiller(network(5, 1), network(9, 2), "dkd").eval()
    expected = whole(images, hidden, epoch=30.0)
    expected.loss.backward()
    parts = []
    for rank in (0, 1):
        part = Distiller(network(5, 1), network(9, 2), "dkd").eval()
        part.across(Counted(len(shown)), partly_labelled=True)
        result = part(images[rank::2], hidden[rank::2], epoch=30.0)
        result.loss.backward()
        parts.append((result, [value.grad for value in part.parameters()]))
    hard = torch.stack([result.terms["hard"] for result, _ in parts]).mean()
    torch.testing.assert_close(hard, expected.terms["hard"])
    for value, *both in zip(whole.parameters(), *(gradients for _, gradients in parts), strict=True):
        assert value.grad is not None
        torch.testing.assert_close(torch.stack([each for each in both if each is not None]).mean(0), value.grad)


def test_where_all_processes_have_as_many_labels_the_loss_is_to_the_bit_what_it_is_alone() -> None:
    images, target = batch(6)
    alone, among = (Distiller(network(5, 1), None, "supervised").eval() for _ in range(2))
    among.across(Counted(12), partly_labelled=True)
    assert torch.equal(alone(images, target).loss, among(images, target).loss)


def test_without_a_group_there_are_no_processes_to_gather_from() -> None:
    with pytest.raises(RuntimeError, match="no group of processes: start them by torchrun"):
        AllProcesses()
