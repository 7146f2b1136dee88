"""The only place that knows of devices, precision and processes: one Accelerator, every setting passed explicitly."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar, cast

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.tracking import MLflowTracker, TensorBoardTracker, WandBTracker
from accelerate.utils import GradientAccumulationPlugin, broadcast, gather_object
from torch import Tensor, nn

Item = TypeVar("Item")

_PRECISION = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}


_TRACKERS = {"tensorboard": TensorBoardTracker, "wandb": WandBTracker, "mlflow": MLflowTracker}


def started_tracker(kind: str, title: str, /, **settings: Any) -> Any:
    """One of accelerate's trackers, at work; ``settings`` are those that it hands to its service."""
    tracker = _TRACKERS[kind](title, **settings)
    tracker.start()
    return tracker


def is_main_process() -> bool:
    """Whether this is the first process of the run, which prints; also the answer where there is only one."""
    return not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0


class Parallel:
    """Device, precision and process group of a run.

    Args:
        device: "auto" (CUDA where there is one, else the CPU), "cpu" or "cuda".
        precision: "fp32", "bf16" or "fp16" (with loss scaling; CUDA only).

    Raises:
        ValueError: an unknown device, CUDA where there is none, or fp16 on the CPU.
    """

    def __init__(self, *, device: str = "auto", precision: str = "fp32") -> None:
        if device not in {"auto", "cpu", "cuda"}:
            raise ValueError(f"device is 'auto', 'cpu' or 'cuda', got {device!r}")
        cuda = torch.cuda.is_available()
        if device == "cuda" and not cuda:
            raise ValueError("device 'cuda' was asked for, but torch finds no CUDA device; use 'cpu' or 'auto'")
        on_cpu = device == "cpu" or not cuda
        if precision == "fp16" and on_cpu:
            raise ValueError("precision 'fp16' needs a CUDA device; use 'fp32' or 'bf16' on the CPU")
        # Accelerate keeps its state per process and refuses a second precision; runs here are independent.
        AcceleratorState._reset_state(reset_partial_state=not torch.distributed.is_initialized())
        self._accelerator = Accelerator(
            cpu=on_cpu,
            mixed_precision=_PRECISION[precision],
            # As a plugin: the plain number would be overruled by an environment variable, and gradients divided by it.
            gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),
            dynamo_backend="no",
            log_with=None,
            device_placement=True,
        )
        self.precision = precision
        if self.device.type != ("cpu" if on_cpu else "cuda"):
            raise RuntimeError(
                f"an environment variable of accelerate moved the run to {self.device}; unset ACCELERATE_TORCH_DEVICE "
                "and ACCELERATE_USE_CPU: the device is an argument here"
            )

    @property
    def device(self) -> torch.device:
        """This process's device."""
        return cast(torch.device, self._accelerator.device)

    @property
    def rank(self) -> int:
        """Number of this process, 0 to world - 1."""
        return int(self._accelerator.process_index)

    @property
    def world(self) -> int:
        """Number of processes."""
        return int(self._accelerator.num_processes)

    @property
    def main(self) -> bool:
        """Whether this process writes files and prints."""
        return self.rank == 0

    def prepare(self, module: nn.Module, *, exchange: bool = True) -> nn.Module:
        """The module on this device, wrapped for several processes where there are several.

        Without ``exchange`` its gradients stay this process's own; :meth:`average` brings them together.
        """
        return cast(nn.Module, self._accelerator.prepare_model(module, evaluation_mode=not exchange))

    def prepare_optimizer(self, optimizer: torch.optim.Optimizer) -> Any:
        """The optimiser with loss scaling where the precision needs it."""
        # Itself where nothing is scaled: the wrapper inspects signatures and searches for packages at every step.
        return optimizer if self.scaler is None else self._accelerator.prepare_optimizer(optimizer)

    def autocast(self) -> AbstractContextManager[Any]:
        """The run's precision for what is computed inside."""
        return nullcontext() if self.precision == "fp32" else cast(Any, self._accelerator.autocast())

    def accumulate(self, module: nn.Module, *, last: bool) -> AbstractContextManager[Any]:
        """Put off the exchange of gradients between processes until the ``last`` batch of an optimiser step."""
        return nullcontext() if last else cast(Any, self._accelerator.no_sync(module))

    def backward(self, loss: Tensor, *, retain_graph: bool = False) -> None:
        """Gradients of the loss, scaled where the precision needs it."""
        if self.scaler is None:
            loss.backward(retain_graph=retain_graph)
        else:
            self._accelerator.backward(loss, retain_graph=retain_graph)

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Put the mean over processes in the place of each tensor; all processes have as many, of the same shapes."""
        if self.world > 1 and tensors:
            mean = self._accelerator.reduce(torch.cat([tensor.flatten() for tensor in tensors]), reduction="mean")
            for tensor, part in zip(tensors, mean.split([tensor.numel() for tensor in tensors]), strict=True):
                tensor.copy_(part.view_as(tensor))

    @property
    def scaler(self) -> Any:
        """The gradient scaler of fp16, else None."""
        return self._accelerator.scaler

    def total(self, values: Tensor) -> Tensor:
        """Sum over processes."""
        return cast(Tensor, self._accelerator.reduce(values, reduction="sum"))

    def gathered(self, items: list[Item]) -> list[Item]:
        """The items of all processes, on every process."""
        return cast(list[Item], gather_object(items)) if self.world > 1 else items

    def share_buffers(self, module: nn.Module) -> None:
        """Give every process the first one's buffers, such as BatchNorm's statistics, which each gathers for itself."""
        if self.world > 1:
            for buffer in module.buffers():
                broadcast(buffer, from_process=0)

    def main_first(self) -> AbstractContextManager[Any]:
        """The main process does what is inside before the others: a download, say."""
        return cast(AbstractContextManager[Any], self._accelerator.main_process_first())

    def wait(self) -> None:
        """Return when every process has come here."""
        self._accelerator.wait_for_everyone()
