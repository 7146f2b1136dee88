"""The batch of all processes, for methods that compare samples with each other."""

from dataclasses import replace

from torch import Tensor

from decant.interfaces import Batch, Outputs, Processes


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
