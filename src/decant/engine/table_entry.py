"""How the logits of one view lie in a table: each of them, or the largest ones and what the rest come to."""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Entry(Protocol):
    """The layout of an entry."""

    @property
    def bytes(self) -> int:
        """Bytes of an entry."""
        ...

    def pack(self, logits: Tensor, target: Tensor | None = None) -> Tensor:
        """Logits (N, C), and the classes (N,) that must be kept whatever their logits -> uint8 (N, bytes)."""
        ...

    def unpack(self, packed: Tensor) -> Tensor:
        """uint8 (N, bytes) -> logits (N, C) as they were rounded, float32."""
        ...


@dataclass(frozen=True)
class EveryLogit:
    """All logits, in one type.

    Attributes:
        classes: C.
        dtype: of a logit.
    """

    classes: int
    dtype: torch.dtype

    @property
    def bytes(self) -> int:
        """Bytes of an entry."""
        return self.classes * self.dtype.itemsize

    def pack(self, logits: Tensor, target: Tensor | None = None) -> Tensor:
        """See :class:`Entry`."""
        return logits.to(self.dtype).contiguous().view(torch.uint8)

    def unpack(self, packed: Tensor) -> Tensor:
        """See :class:`Entry`."""
        return packed.view(self.dtype).float()


@dataclass(frozen=True)
class LargestLogits:
    r"""The target's logit and the largest of the others, and one logit that all the rest are given.

    .. math:: r = T \left( \log \sum_{i \in \mathrm{rest}} e^{z_i / T} - \log |\mathrm{rest}| \right)

    so that at the temperature T the rest have the probability together that they had, and every class that is kept has
    the probability that it had.

    Attributes:
        classes: C.
        dtype: of a logit.
        top: how many are kept, the target among them; below C.
        temperature: T.
    """

    classes: int
    dtype: torch.dtype
    top: int
    temperature: float

    @property
    def bytes(self) -> int:
        """Bytes of an entry: logits, their classes, and the rest's logit."""
        return self.top * (self.dtype.itemsize + self._index.itemsize) + torch.float32.itemsize

    def pack(self, logits: Tensor, target: Tensor | None = None) -> Tensor:
        """See :class:`Entry`."""
        wanted = logits if target is None else logits.scatter(1, target.unsqueeze(1), torch.inf)
        kept = wanted.topk(self.top, dim=1).indices
        rest = (logits.float() / self.temperature).scatter(1, kept, -torch.inf)
        share = rest.logsumexp(1, keepdim=True) - math.log(self.classes - self.top)
        parts = (logits.gather(1, kept).to(self.dtype), kept.to(self._index), self.temperature * share)
        return torch.cat([part.contiguous().view(torch.uint8) for part in parts], dim=1)

    def unpack(self, packed: Tensor) -> Tensor:
        """See :class:`Entry`."""
        widths = (self.top * self.dtype.itemsize, self.top * self._index.itemsize, torch.float32.itemsize)
        types = (self.dtype, self._index, torch.float32)
        parts = packed.split(widths, dim=1)
        values, kept, share = (part.contiguous().view(kind) for part, kind in zip(parts, types, strict=True))
        logits: Tensor = share.repeat(1, self.classes)
        return logits.scatter_(1, kept.long(), values.float())

    @property
    def _index(self) -> torch.dtype:
        return torch.int16 if self.classes <= 2**15 else torch.int32
