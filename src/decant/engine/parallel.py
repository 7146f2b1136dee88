"""The only place that knows of devices, precision and processes: one Accelerator, every setting passed explicitly."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar, cast

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.tracking import MLflowTracker, TensorBoardTracker, WandBTracker
from accelerate.utils import GradientAccumulationPlugin, broadcast, gather_object
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from decant.engine.blocks import blocks_of

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
        shard: divide the parameters of networks among the processes, by FSDP2, rather than copy them.

    Raises:
        ValueError: an unknown device, CUDA where there is none, fp16 on the CPU; nothing to divide among.
        RuntimeError: the launcher chose another device, or another way to divide the work.
    """

    def __init__(self, *, device: str = "auto", precision: str = "fp32", shard: bool = False) -> None:
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
        self.precision, self.sharded = precision, shard
        if self.device.type != ("cpu" if on_cpu else "cuda"):
            raise RuntimeError(
                f"an environment variable of accelerate moved the run to {self.device}; unset ACCELERATE_TORCH_DEVICE "
                "and ACCELERATE_USE_CPU: the device is an argument here"
            )
        if (kind := str(self._accelerator.distributed_type.value)) not in {"NO", "MULTI_CPU", "MULTI_GPU"}:
            raise RuntimeError(
                f"the launcher asked for {kind}; launch plain processes (accelerate launch --multi_gpu, or torchrun), "
                "and divide the parameters with --shard"
            )
        if shard and self.world == 1:
            raise ValueError(
                "--shard divides the parameters among several processes, but there is one; start more with torchrun "
                "or accelerate launch"
            )
        if shard and precision == "fp16":
            raise ValueError("--shard does not go with precision 'fp16', whose loss scaling needs whole gradients")

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

        Without ``exchange`` its gradients stay this process's own; :meth:`average` brings them together. Parts that
        :meth:`shard` divided exchange by themselves.
        """
        if self.sharded:
            return module
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
        if self.sharded:
            return _putting_off(module, last)
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

    def shard(self, module: nn.Module, *, trained: bool = True) -> None:
        """Divide the parameters of a module among the processes, where that was asked for.

        A forward pass brings a block together as long as it runs; what lies outside of blocks stays together until the
        backward pass, because methods read it. Nothing is to be made of the module's parameters before.

        Raises:
            ValueError: a parameter that is a single number.
        """
        if not self.sharded or not any(True for _ in module.parameters()):
            return
        if single := [name for name, value in module.named_parameters() if value.ndim == 0]:
            raise ValueError(f"--shard cannot divide single numbers ({', '.join(single)}); train without it")
        module.to(memory_format=torch.contiguous_format)  # what lies otherwise cannot be divided
        mesh = init_device_mesh(self.device.type, (self.world,))
        for block in blocks_of(module):
            fully_shard(block, mesh=mesh)
        fully_shard(module, mesh=mesh, reshard_after_forward=not trained)

    @contextmanager
    def together(self, module: nn.Module) -> Iterator[None]:
        """Inside, a module that was divided is whole in every process: each may run it as often as it likes."""
        parts = [part for part in module.modules() if isinstance(part, FSDPModule)]
        for part in parts:
            part.set_reshard_after_forward(False, recurse=False)
            part.unshard()
        try:
            yield
        finally:
            for part in parts:
                part.set_reshard_after_forward(part is not module, recurse=False)
                part.reshard()

    def whole(self, state: Any) -> Any:
        """A state in which divided tensors are whole, for the main process to keep; all processes ask for it at once.

        Dictionaries and lists stay what they are; the others have None for what is divided.
        """
        if isinstance(state, DTensor):
            tensor = state.full_tensor()
            return tensor.cpu() if self.main else None
        if isinstance(state, dict):
            return {key: self.whole(value) for key, value in state.items()}
        return [self.whole(value) for value in state] if isinstance(state, list) else state

    def divided(self, state: Mapping[Any, Any], like: Mapping[Any, Any]) -> dict[Any, Any]:
        """The reverse of :meth:`whole`, which all processes have read: divided where ``like`` has a divided tensor.

        Args:
            state: keys to tensors, or to dictionaries of tensors that are divided alike (an optimiser's).
            like: keys to parameters.
        """

        def part(value: Any, parameter: Any) -> Any:
            if isinstance(value, dict):
                return {key: part(each, parameter) for key, each in value.items()}
            if not isinstance(parameter, DTensor) or not isinstance(value, Tensor) or value.shape != parameter.shape:
                return value
            moved = value.to(self.device).contiguous()
            return distribute_tensor(moved, parameter.device_mesh, parameter.placements, src_data_rank=None)

        return {key: part(value, like.get(key)) for key, value in state.items()}

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


@contextmanager
def _putting_off(module: nn.Module, last: bool) -> Iterator[None]:
    for part in module.modules():
        if isinstance(part, FSDPModule):
            part.set_requires_gradient_sync(last, recurse=False)
    yield
