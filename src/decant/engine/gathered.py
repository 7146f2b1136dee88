"""What a process knows of the batch of all: the samples themselves, or how many of them carry a label."""

from dataclasses import replace

from torch import Tensor

from decant.interfaces import UNLABELLED, Batch, Outputs, Processes


def gathered_outputs(outputs: Outputs, processes: Processes) -> Outputs:
    """What a network says to the samples of all processes; gradients reach those of this one."""
    return Outputs(
        processes.gather(outputs.logits),
        {name: processes.gather(tap) for name, tap in outputs.taps.items()},
        tuple(gathered_outputs(more, processes) for more in outputs.more),
    )


def gathered_batch(batch: Batch, processes: Processes) -> Batch:
    """The samples of all processes, without their images, which are large and which no method on outputs reads."""
    target: Tensor | None = None if batch.target is None else processes.gather(batch.target)
    return replace(batch, images=(), target=target, index=processes.gather(batch.index), view_ids=())


def counted_batch(batch: Batch, processes: Processes) -> Batch:
    """The samples of this process, and how many of those of a process carry a label on average."""
    if batch.target is None or batch.target.is_floating_point():
        return batch
    total = processes.total((batch.target != UNLABELLED).sum())
    return replace(batch, labelled=total.clamp(min=1) / processes.world)
