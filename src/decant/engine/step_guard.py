"""A look at every optimiser step before it is taken: `train.on_nonfinite = "skip"`."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from decant.engine.meter import Reading
from decant.engine.parallel import Parallel


class StepGuard:
    """Leaves out steps of NaN or infinite losses and gradients, as if their batches had never been met.

    That takes a wait for the device at every step, and a copy of the buffers that the forward pass writes (statistics
    of BatchNorm, a method's memory).

    Args:
        module: what is trained.
        optimizer: has its parameters.
        parallel: with loss scaling, infinite gradients are the scaler's affair; processes skip together.
    """

    def __init__(self, module: nn.Module, optimizer: Any, parallel: Parallel) -> None:
        self._module, self._optimizer, self._parallel = module, optimizer, parallel
        self._buffers: list[Tensor] = []

    def remember(self) -> None:
        """Before the first forward pass of a step."""
        self._buffers = [buffer.clone() for buffer in self._module.buffers()]

    def allows(self, readings: Sequence[Reading]) -> bool:
        """Whether the step may be taken, after the last backward pass of its batches."""
        looked_at = [reading.values[0] for reading in readings]
        if self._parallel.scaler is None:
            groups = self._optimizer.param_groups
            looked_at += torch._foreach_norm(
                [parameter.grad for group in groups for parameter in group["params"] if parameter.grad is not None],
                float("inf"),
            )
        bad = torch.stack([value.double() for value in looked_at]).isfinite().logical_not().sum()
        return int(self._parallel.total(bad)) == 0

    def undo(self) -> None:
        """Let go of the gradients, and put the buffers back."""
        self._optimizer.zero_grad(set_to_none=True)
        for buffer, before in zip(self._module.buffers(), self._buffers, strict=True):
            buffer.copy_(before)
