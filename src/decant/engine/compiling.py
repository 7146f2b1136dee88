"""Compiled networks and losses, where the machine can compile; training goes on without where it cannot."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import torch

from decant.engine.distiller import Distiller
from decant.engine.parallel import Parallel
from decant.interfaces import Batch


def compile_distiller(
    distiller: Distiller, batch: Batch, parallel: Parallel, *, cuda_graphs: bool = True
) -> str | None:
    """Compile the networks and the method with Inductor, once two steps on a copy have shown that it works.

    It leaves no trace in what is trained, and the code that the copy was compiled to serves the distiller as well.

    Args:
        distiller: on its device.
        batch: of the shape that the code is made for; batches of another size are the affair of :func:`compiled_step`.
        parallel: device and precision.
        cuda_graphs: on a GPU, launch whole graphs of kernels at once. Not for gradients that add up over several
            batches, or are exchanged between processes: they would be overwritten by the next launch.

    Returns:
        None; or why it does not work here, in which case the distiller stays as it is.
    """
    graphs = cuda_graphs and parallel.device.type == "cuda"
    how: dict[str, Any] = {"dynamic": False, "mode": "reduce-overhead" if graphs else None}
    trial = distiller.copy().train()
    trial.compile(**how)
    devices = [parallel.device] if parallel.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices), parallel.autocast():
            for _ in range(2):  # what a method keeps between steps shows its faults in the second
                with compiled_step(full=True):
                    trial(batch.images, batch.target, index=batch.index, epoch=batch.epoch).loss.backward()
    except Exception as error:  # no compiler, no Python headers, no Triton, an operation that it cannot do: any kind
        distiller.compile(disable=True)  # the teacher, which the copy shares
        first, second, *_ = [*str(error).split("\n"), "", ""]  # what follows is advice to compiler writers
        return f"{type(error).__name__}: {first} {second}".strip()
    distiller.compile(**how)
    return None


def compiled_step(full: bool) -> AbstractContextManager[object]:
    """Around one step of a compiled distiller.

    Args:
        full: whether the batch has the size that the code was made for. Another one, such as the last of an epoch, runs
            as the networks were written: that is not worth minutes of compiling.
    """
    if not full:
        return cast(AbstractContextManager[object], torch.compiler.set_stance("force_eager"))
    torch.compiler.cudagraph_mark_step_begin()
    return nullcontext()
