"""What the processes of a run exchange inside a loss, so that it and its gradients are those of the whole batch."""

from typing import Any, cast

import torch
from torch import Tensor


class AllProcesses:
    """The processes of torch's default group, which average their gradients: :class:`decant.interfaces.Processes`.

    Raises:
        RuntimeError: there is no group; a launcher such as torchrun, and ``init_process_group``, make one.
    """

    def __init__(self) -> None:
        if not torch.distributed.is_initialized():
            raise RuntimeError(
                "there is no group of processes: start them by torchrun, and call torch.distributed.init_process_group"
            )
        self.rank, self.world = torch.distributed.get_rank(), torch.distributed.get_world_size()

    def gather(self, rows: Tensor) -> Tensor:
        """The rows of all processes, the first of each before the second of any: (N, ...) -> (world N, ...)."""
        return cast(Tensor, _gathered(rows, self.rank, self.world))

    def shared(self, values: Tensor) -> Tensor:
        """The values; their gradients are summed over processes."""
        return cast(Tensor, _shared(values))

    def total(self, values: Tensor) -> Tensor:
        """The sum over processes; each one's gradient is that of the sum, which all of them use alike."""
        return cast(Tensor, _total(values))

    def __deepcopy__(self, memo: dict[int, Any]) -> "AllProcesses":
        """Itself: copies of what it serves are in the same processes."""
        return self


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, rank: int, world: int) -> Tensor:
        ctx.rank, ctx.world = rank, world
        parts = [torch.empty_like(rows, memory_format=torch.contiguous_format) for _ in range(world)]
        torch.distributed.all_gather(parts, rows.contiguous())
        return torch.stack(parts, dim=1).flatten(0, 1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        # Every process has the whole loss, and parameters get the mean over processes of what each one's rows add.
        return gradient.unflatten(0, (-1, ctx.world))[:, ctx.rank] * ctx.world, None, None


class _Shared(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _summed(gradient)


class _Total(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return _summed(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


# Compiled code goes around them: what waits for other processes is no arithmetic to be reordered.
_gathered, _shared, _total = (torch.compiler.disable(each.apply) for each in (_Gather, _Shared, _Total))


def _summed(values: Tensor) -> Tensor:
    total = values.contiguous().clone()
    torch.distributed.all_reduce(total)
    return total
