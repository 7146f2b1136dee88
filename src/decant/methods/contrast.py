"""The contrast of CRD: a memory of every training sample's two features, and strangers drawn from it."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from decant.interfaces import Processes
from decant.losses import nce_loss
from decant.losses.features import full_precision


class Contrast(nn.Module):
    """Each network's feature of a sample against the other network's remembered features of it and of strangers.

    A feature is remembered as a moving average on the unit sphere. The model's probability of a sample is
    exp(cosine / temperature) / Z; Z is estimated from the first batch and kept, one for each direction. Memories and Z
    are buffers, so that a run resumes with them.

    Args:
        targets: class of every training sample, (size,), int64; strangers are of another class.
        dimension: of the features.
        negatives: strangers per sample, drawn uniformly with replacement.
        momentum: share of the old feature in the new memory.
        temperature: T.

    Raises:
        ValueError: all samples are of one class.
    """

    student_memory: Tensor
    teacher_memory: Tensor
    log_normalisers: Tensor
    targets: Tensor
    by_class: Tensor
    starts: Tensor
    counts: Tensor

    def __init__(self, targets: Tensor, dimension: int, *, negatives: int, momentum: float, temperature: float) -> None:
        super().__init__()
        self.size, self.negatives = len(targets), negatives
        self.momentum, self.temperature = momentum, temperature
        self._processes: Processes | None = None
        bound = math.sqrt(3 / dimension)
        for name in ("student_memory", "teacher_memory"):
            self.register_buffer(name, torch.empty(self.size, dimension).uniform_(-bound, bound))
        self.register_buffer("log_normalisers", torch.full((2,), torch.nan))
        counts = targets.bincount()
        if counts.max() == self.size:
            raise ValueError("a contrast needs samples of at least 2 classes: strangers are of another class")
        # What follows comes from the data again and is not saved.
        self.register_buffer("targets", targets, persistent=False)
        self.register_buffer("by_class", targets.argsort(stable=True), persistent=False)
        self.register_buffer("starts", counts.cumsum(0) - counts, persistent=False)
        self.register_buffer("counts", counts, persistent=False)

    def forward(self, student: Tensor, teacher: Tensor, index: Tensor) -> Tensor:
        """The loss of both directions in nats, for unit features (N, dimension) of the samples at ``index`` (N,)."""
        return self.against(student, teacher, index, self.draw(index))

    def divide(self, processes: Processes) -> None:
        """Keep the memories of every ``world``-th sample, and compare with those of all processes from now on.

        Every process gives the features of all of them, and draws the same strangers: their generators agree.
        """
        self.student_memory = _share(self.student_memory, processes)
        self.teacher_memory = _share(self.teacher_memory, processes)
        self._processes = processes

    def draw(self, index: Tensor) -> Tensor:
        """Positions of strangers, (N, negatives), from the global generator of the device."""
        target = self.targets[index]
        start, count = self.starts[target].unsqueeze(1), self.counts[target].unsqueeze(1)
        # So many more values than samples that the remainder favours none noticeably.
        drawn = torch.randint(2**48, (len(index), self.negatives), device=index.device) % (self.size - count)
        return self.by_class[drawn + count * (drawn >= start)]  # in the order by class, one's own class is one gap

    def against(self, student: Tensor, teacher: Tensor, index: Tensor, strangers: Tensor) -> Tensor:
        """The loss with given strangers; in training mode the memory and, the first time, Z are brought up to date."""
        positions = torch.cat([index.unsqueeze(1), strangers], dim=1)
        with full_precision(student):
            scores = [
                self._cosines(feature.to(memory.dtype), memory, positions) / self.temperature
                for feature, memory in ((student, self.teacher_memory), (teacher, self.student_memory))
            ]
        measured = torch.stack([score.detach().flatten().logsumexp(0) for score in scores])
        measured = measured - math.log(positions.numel() / self.size)
        normalisers = torch.where(self.log_normalisers.isnan(), measured, self.log_normalisers)
        logs = [score - log_normaliser for score, log_normaliser in zip(scores, normalisers, strict=True)]
        if self.training:
            self.log_normalisers = normalisers
            self.student_memory = self._remembered(self.student_memory, student, index)
            self.teacher_memory = self._remembered(self.teacher_memory, teacher, index)
        first, second = (nce_loss(log[:, 0], log[:, 1:], self.size) for log in logs)
        return first + second

    def _cosines(self, feature: Tensor, memory: Tensor, positions: Tensor) -> Tensor:
        """The features times the memories at these positions, (N, positions)."""
        # All scores and then a choice: a product with every memory costs less than fetching so many of them.
        if self._processes is None:
            return (feature @ memory.mT).gather(1, positions)
        here = positions % self._processes.world == self._processes.rank
        rows = (positions // self._processes.world).clamp(max=len(memory) - 1)
        own = (self._processes.shared(feature) @ memory.mT).gather(1, rows)
        return self._processes.total(own.where(here, 0.0))

    @torch.no_grad()
    def _remembered(self, memory: Tensor, features: Tensor, index: Tensor) -> Tensor:
        """A new memory rather than the old one changed: the backward pass still needs that."""
        if self._processes is not None:
            here = index % self._processes.world == self._processes.rank
            features, index = features[here], index[here] // self._processes.world
        moved = self.momentum * memory[index] + (1 - self.momentum) * features.to(memory.dtype)
        return memory.index_copy(0, index, F.normalize(moved, dim=1))

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if self._processes is not None:
            for name in ("student_memory", "teacher_memory"):
                # Shares differ by one row at most; those of the first process are the longest.
                own, longest = destination[prefix + name], -(-self.size // self._processes.world)
                padded = F.pad(own, (0, 0, 0, longest - len(own)))  # shares differ by one row at most
                destination[prefix + name] = self._processes.gather(padded)[: self.size]

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        if self._processes is not None:
            whole = {prefix + name for name in ("student_memory", "teacher_memory")} & state_dict.keys()
            state_dict = state_dict | {name: _share(state_dict[name], self._processes) for name in whole}
        super()._load_from_state_dict(state_dict, prefix, *rest)


def _share(memory: Tensor, processes: Processes) -> Tensor:
    return memory[processes.rank :: processes.world].clone()
