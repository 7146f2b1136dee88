"""The kernels for CUDA: interpreted on the CPU everywhere, compiled where there is a GPU."""

import os
import subprocess
import sys

import pytest
import torch

pytest.importorskip("triton", reason="Triton is not part of this build of torch")

# The interpreter is chosen by an environment variable that Triton reads when it is imported: in a process of its own.
PARITY = """
import itertools, sys
import torch
from decant.losses import closed_form, dkd_loss, dkd_terms, kd_loss

device = sys.argv[1]
if device == "cpu":
    closed_form._kernels_serve = lambda problem: problem.dtype == torch.float32


def terms(s, t, y, temperature, reduction):
    found = dkd_terms(s, t, y, temperature=temperature, reduction=reduction)
    return 0.5 * found.tckd + 3.0 * found.nckd


losses = {
    "dkd": lambda s, t, y, temperature, r: dkd_loss(s, t, y, alpha=0.5, beta=3.0, temperature=temperature, reduction=r),
    "terms": terms,
    "kd": lambda s, t, y, temperature, r: kd_loss(
        s, t, temperature=temperature, reduction=r, mask=None if y is None else y != -100
    ),
}
types = torch.float32, torch.float16, torch.bfloat16
# The last is longer than a block of the kernels.
shapes = ((3, 5), (2, 2), (2, 7, 3), (0, 4), (2, 4100))
torch.manual_seed(0)
count = 0
for shape, dtype, reduction, name in itertools.product(shapes, types, ("mean", "none"), losses):
    for scale, ignored in ((3.0, True), (300.0, False))[: 2 if dtype == torch.float32 else 1]:
        student, teacher = (scale * torch.randn(2, *shape, device=device)).to(dtype)
        target = torch.randint(shape[1], (shape[0], *shape[2:]), device=device)
        if ignored and target.numel():
            target.view(-1)[0] = -100
            student.movedim(1, -1)[(0,) * (student.ndim - 1)] = torch.nan
        upstream = torch.rand((shape[0], *shape[2:]) if reduction == "none" else (), device=device) + 0.5
        student.requires_grad_()
        value = losses[name](student, teacher, target, 3.0, reduction)
        (gradient,) = torch.autograd.grad(value, student, upstream)
        wide = student.detach().double().requires_grad_()
        truth = losses[name](wide, teacher.double(), target, torch.tensor(3.0, device=device), reduction)
        (of_truth,) = torch.autograd.grad(truth, wide, upstream.double())
        assert value.dtype == torch.float32 and gradient.dtype == dtype
        torch.testing.assert_close(value.double(), truth, rtol=2e-6, atol=4e-5)
        step = torch.finfo(dtype).eps
        torch.testing.assert_close(gradient.double(), of_truth, rtol=2 * step + 1e-5, atol=step + 1e-5)
        count += 1
print(count)
"""


def parity(device: str, **environment: str) -> int:
    run = subprocess.run(
        [sys.executable, "-c", PARITY, device],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return int(run.stdout)


def test_interpreted_kernels_equal_the_plain_equations() -> None:
    assert parity("cpu", TRITON_INTERPRET="1") == 5 * (2 + 1 + 1) * 2 * 3


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_compiled_kernels_equal_the_plain_equations() -> None:
    assert parity("cuda") == 5 * (2 + 1 + 1) * 2 * 3
