"""What an epoch of training came to, summed on the device so that the loop never waits for it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from decant.engine.parallel import Parallel


@dataclass(frozen=True)
class EpochLog:
    """Means over the batches of one epoch, weighted by their samples: the loss, and every raw term in its own unit.

    Attributes:
        loss: what was minimised.
        terms: by name.
        skipped: the batches that are not in the means, because of values that are not finite.
    """

    loss: float
    terms: dict[str, float]
    skipped: "tuple[NonFiniteStep, ...]" = ()


@dataclass(frozen=True)
class NonFiniteStep:
    """A batch whose loss, or whose gradient, was NaN or infinite.

    Attributes:
        step: which batch of its epoch, from 1.
        values: its loss, and its terms by name.
        samples: positions of its samples in the training set.
    """

    step: int
    values: dict[str, float]
    samples: tuple[int, ...]

    def __str__(self) -> str:
        return f"step {self.step}: " + ", ".join(f"{name} {value:g}" for name, value in self.values.items())


class NonFiniteLossError(RuntimeError):
    """A loss was NaN or infinite.

    Attributes:
        epoch: the epoch, from 1.
        steps: the first batches in which it was, one of each process that had one.
    """

    def __init__(self, message: str, epoch: int, steps: tuple[NonFiniteStep, ...]) -> None:
        super().__init__(message)
        self.epoch, self.steps = epoch, steps


@dataclass
class Reading:
    """The values of a batch, still on the device: the loss first, then its terms."""

    names: tuple[str, ...]
    values: Tensor
    index: Tensor

    @classmethod
    def of(cls, loss: Tensor, terms: Mapping[str, Tensor], index: Tensor) -> "Reading":
        """The values of a step, without their graph."""
        return cls(tuple(terms), torch.stack([loss.detach(), *(term.detach() for term in terms.values())]), index)

    def describe(self, step: int) -> NonFiniteStep:
        """The same on the host."""
        values = dict(zip(("loss", *self.names), self.values.tolist(), strict=True))
        return NonFiniteStep(step, values, tuple(self.index.tolist()))


@dataclass
class Meter:
    """Sums over the batches of an epoch, and how many of them are done.

    Attributes:
        epoch: epochs completed before this one.
        batches: how many were met, where an interrupted epoch goes on.
        skipped: those that do not count.
    """

    epoch: int
    batches: int = 0
    skipped: list[NonFiniteStep] = field(default_factory=list)
    _names: tuple[str, ...] = ()
    _sums: Tensor | None = None
    _samples: int = 0
    _unchecked: list[tuple[int, Reading]] = field(default_factory=list)

    def add(self, reading: Reading) -> None:
        """One batch more."""
        if self._sums is None:
            self._sums = torch.zeros_like(reading.values, dtype=torch.float64)
        self._names = reading.names
        self._samples += len(reading.index)
        self._sums.add_(reading.values, alpha=len(reading.index))  # in float64: nothing is lost over an epoch
        self.batches += 1
        self._unchecked.append((self.batches, reading))

    def skip(self, reading: Reading) -> None:
        """One batch more, which does not count."""
        self.batches += 1
        self.skipped.append(reading.describe(self.batches))

    def check(self, parallel: Parallel) -> None:
        """Wait for the device and see that all losses so far were finite; to be called by all processes.

        Raises:
            NonFiniteLossError: one was not; the message names batch and terms.
        """
        self._means(parallel)
        self._unchecked.clear()

    def result(self, parallel: Parallel) -> EpochLog:
        """The means over all processes.

        Raises:
            ValueError: there were no batches.
            NonFiniteLossError: a loss was NaN or infinite, or all batches were skipped.
        """
        loss, *terms = self._means(parallel)
        return EpochLog(loss, dict(zip(self._names, terms, strict=True)), tuple(parallel.gathered(self.skipped)))

    def state_dict(self, parallel: Parallel) -> dict[str, Any]:
        """All of it, over all processes, as what a file keeps."""
        if self._sums is None:
            sums, samples = [], 0
        else:
            *sums, samples = self._total(self._sums, parallel).tolist()
        skipped = [(each.step, each.values, list(each.samples)) for each in parallel.gathered(self.skipped)]
        return {
            "batches": self.batches,
            "samples": int(samples),
            "names": list(self._names),
            "sums": sums,
            "skipped": skipped,
        }

    @classmethod
    def from_state(cls, epoch: int, state: Mapping[str, Any], parallel: Parallel) -> "Meter":
        """Take up where ``state_dict`` left off; what all processes had is the first one's now."""
        meter = cls(epoch, batches=state["batches"], _names=tuple(state["names"]))
        if state["sums"]:
            sums = torch.tensor(state["sums"], dtype=torch.float64, device=parallel.device)
            meter._sums = sums if parallel.main else torch.zeros_like(sums)
        if parallel.main:
            meter._samples = state["samples"]
            meter.skipped = [NonFiniteStep(step, values, tuple(samples)) for step, values, samples in state["skipped"]]
        return meter

    def _total(self, sums: Tensor, parallel: Parallel) -> Tensor:
        return parallel.total(torch.cat([sums, sums.new_tensor([self._samples])]))

    def _means(self, parallel: Parallel) -> list[float]:
        if self._sums is None:
            if self.skipped:
                raise NonFiniteLossError(
                    f"every step of epoch {self.epoch + 1} was NaN or infinite and skipped; {self.skipped[0]}",
                    self.epoch + 1,
                    (self.skipped[0],),
                )
            raise ValueError(f"epoch {self.epoch + 1} had no batches")
        *sums, samples = self._total(self._sums, parallel).tolist()
        if not math.isfinite(sums[0]):
            # Only now is the device asked about single batches.
            bad = [each for each in self._unchecked if not math.isfinite(each[1].values[0].item())][:1]
            found = tuple(parallel.gathered([reading.describe(step) for step, reading in bad]))
            raise NonFiniteLossError(
                f"the loss became NaN or infinite in epoch {self.epoch + 1}, {min(found, key=lambda each: each.step)}"
                '. Lower train.learning_rate, give the method a warmup, or use fp32; train.on_nonfinite = "skip" '
                "leaves out such steps",
                self.epoch + 1,
                found,
            )
        return [value / samples for value in sums]


AfterStep = Callable[[Meter], None]
"""Called after each optimiser step, when all that a resume state needs is in place."""
