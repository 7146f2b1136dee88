"""Mixed images and labels: mixup, cutmix and label smoothing, drawn per sample from a counter."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from decant.data.counter import counter_hash
from decant.data.order import EpochOrder
from decant.data.symmetric_beta import SymmetricBeta
from decant.interfaces import Batch


@dataclass(frozen=True, eq=False)
class Mixes:
    """How the samples of an epoch are mixed, in their order, on the CPU.

    Attributes:
        share: of a sample's own image and label, (M,), float32; its partner has the rest.
        box: top, bottom, left and right of the rectangle that shows the partner, (M, 4), int64; empty where images are
            blended.
        blended: share of the own image in every pixel outside of that rectangle, (M,), float32; 1 where one is cut.
    """

    share: Tensor
    box: Tensor
    blended: Tensor


class Mixing:
    r"""Images that show two samples, and labels that say how much of each.

    .. math:: x = \lambda x_i + (1 - \lambda) x_j, \quad
        y = (1 - \epsilon) (\lambda e_{t_i} + (1 - \lambda) e_{t_j}) + \epsilon / C

    with lambda from Beta(a, a). Cutmix shows the partner j in a rectangle with 1 - lambda of the area instead, cut at
    the border, and lambda becomes the share of the pixels that are left. Where both are on, each sample gets one of
    them with probability 1/2. The partner is the sample before it in the batch, for the first one the last; of several
    processes each has batches of its own, so partners depend on their number. What is drawn is a hash of
    (seed, epoch, position in the data set), and the order is one of (seed, epoch): nothing has a state.

    Source: Zhang, Cisse, Dauphin, Lopez-Paz, *mixup*, arXiv:1710.09412; Yun, Han, Oh, Chun, Choe, Yoo, *CutMix*,
    arXiv:1905.04899; Szegedy, Vanhoucke, Ioffe, Shlens, Wojna, arXiv:1512.00567.

    Args:
        mixup: a of mixup; 0 for none.
        cutmix: a of cutmix; 0 for none.
        label_smoothing: epsilon, from 0 to below 1.
        classes: C.
        seed: 0 to 2**63 - 1.

    Example:
        >>> mixing = Mixing(label_smoothing=0.1, classes=4, seed=0)
        >>> mixing.labels(torch.tensor([2]), torch.ones(1))
        tensor([[0.0250, 0.0250, 0.9250, 0.0250]])
    """

    def __init__(
        self, *, mixup: float = 0.0, cutmix: float = 0.0, label_smoothing: float = 0.0, classes: int, seed: int
    ) -> None:
        self._blend = SymmetricBeta(mixup) if mixup else None
        self._cut = SymmetricBeta(cutmix) if cutmix else None
        self._smoothing, self._classes, self._seed = label_smoothing, classes, seed

    def draw(self, order: EpochOrder, height: int, width: int) -> Mixes:
        """How the samples of an epoch are mixed, for images of that size."""
        count = len(order.index)
        share, box = np.ones(count), np.zeros((count, 4), dtype=np.int64)
        blended = np.ones(count)
        which, uniform, down, across = (self._uniform(order, name) for name in ("mix", "share", "mix row", "mix col"))
        if self._blend is not None:
            cut = which < 0.5 if self._cut is not None else np.zeros(count, dtype=bool)
            share[~cut] = blended[~cut] = self._blend(uniform[~cut])
        else:
            cut = np.full(count, self._cut is not None)
        if self._cut is not None:
            side = np.sqrt(1 - self._cut(uniform[cut]))
            rows, columns = _cut(side, down[cut], height), _cut(side, across[cut], width)
            box[cut] = np.stack([*rows, *columns], axis=1)
            share[cut] = 1 - (rows[1] - rows[0]) * (columns[1] - columns[0]) / (height * width)
        to_float = torch.float32
        return Mixes(
            torch.from_numpy(share).to(to_float), torch.from_numpy(box), torch.from_numpy(blended).to(to_float)
        )

    def __call__(self, batch: Batch, mixes: Mixes, part: slice) -> Batch:
        """The batch with its images mixed, and probabilities for labels.

        Args:
            batch: with class indices.
            mixes: of its epoch.
            part: where its samples are in there.
        """
        assert batch.target is not None, "mixed labels are made of labels"
        device = batch.index.device
        share = mixes.share[part].to(device)
        images = batch.images
        if self._blend is not None or self._cut is not None:
            box, blended = mixes.box[part].to(device), mixes.blended[part].to(device)
            images = tuple(_mixed(view, box, blended) for view in images)
        return replace(batch, images=images, target=self.labels(batch.target, share))

    def labels(self, target: Tensor, share: Tensor) -> Tensor:
        """Class indices (N,) and shares (N,) -> probabilities (N, C), float32."""
        own = F.one_hot(target, self._classes).to(share.dtype)
        mixed = share[:, None] * own + (1 - share[:, None]) * own.roll(1, 0)
        return (1 - self._smoothing) * mixed + self._smoothing / self._classes

    def _uniform(self, order: EpochOrder, name: str) -> NDArray[np.float64]:
        """A number from 0 to below 1 for each sample of an epoch."""
        words = counter_hash(self._seed, name, order.epoch, order.index)
        uniform: NDArray[np.float64] = (((words >> 32) & (2**32 - 1)).to(torch.float64) / 2**32).numpy()
        return uniform


def _cut(side: NDArray[np.float64], centre: NDArray[np.float64], length: int) -> tuple[NDArray[np.int64], ...]:
    """From and to, of stretches of ``side`` times the length round a centre, cut at both ends."""
    half = (side * length / 2).astype(np.int64)
    middle = np.rint(centre * length).astype(np.int64)
    return np.clip(middle - half, 0, length), np.clip(middle + half, 0, length)


def _mixed(images: Tensor, box: Tensor, blended: Tensor) -> Tensor:
    """Images (N, channels, H, W), each with the one before it."""
    rows, columns = (torch.arange(size, device=images.device) for size in images.shape[2:])
    top, bottom, left, right = (edge[:, None] for edge in box.unbind(1))
    inside = ((rows >= top) & (rows < bottom))[:, None, :, None] & ((columns >= left) & (columns < right))[
        :, None, None
    ]
    own = torch.where(inside, 0.0, blended[:, None, None, None])
    mixed = torch.empty_like(images)  # which keeps the memory layout
    return mixed.copy_(own * images + (1 - own) * images.roll(1, 0))
