"""The contrast of CRD: a memory of every training sample's two features, and strangers drawn from it."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

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
                # All scores and then a choice: a product with every memory costs less than fetching so many of them.
                (feature.to(memory.dtype) @ memory.mT).gather(1, positions) / self.temperature
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

    @torch.no_grad()
    def _remembered(self, memory: Tensor, features: Tensor, index: Tensor) -> Tensor:
        """A new memory rather than the old one changed: the backward pass still needs that."""
        moved = self.momentum * memory[index] + (1 - self.momentum) * features.to(memory.dtype)
        return memory.index_copy(0, index, F.normalize(moved, dim=1))
