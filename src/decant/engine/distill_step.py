"""One step of a training that distils: a batch through the distiller."""

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass

from torch import Tensor, nn

from decant.engine.compiling import compiled_step
from decant.engine.probe import Probe
from decant.interfaces import Batch, Outputs


@dataclass(frozen=True)
class DistillStep:
    """The step that distils: a batch through the wrapped :class:`Distiller`.

    Attributes:
        module: the wrapped distiller.
        teacher_outputs: what the teacher says to each batch, in their order; None runs it.
        compiled_for: samples of the batches that it is compiled for; None where it is not compiled.
        apart: whether the loss comes in two, the task's own term and all others.
        probe: what stands still; None where all is trained.
    """

    module: nn.Module
    teacher_outputs: Iterator[Outputs] | None = None
    compiled_for: int | None = None
    apart: bool = False
    probe: Probe | None = None

    def __call__(self, batch: Batch) -> tuple[tuple[Tensor, ...], Mapping[str, Tensor]]:
        """The loss, in one or in two, and the raw terms."""
        if self.probe is not None:
            self.probe.hold()
        outputs = next(self.teacher_outputs) if self.teacher_outputs is not None else None
        with nullcontext() if self.compiled_for is None else compiled_step(len(batch.index) == self.compiled_for):
            *losses, terms, _ = self.module(
                batch.images,
                batch.target,
                index=batch.index,
                epoch=batch.epoch,
                teacher_outputs=outputs,
                apart=self.apart,
            )
        return tuple(losses), terms
