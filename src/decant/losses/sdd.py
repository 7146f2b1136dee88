"""Scale decoupling: what the classifiers say to regions of the last map, apart from what they say to all of it."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class SDDTerms(NamedTuple):
    """The two parts of a loss over regions, each a share of its mean over samples and regions.

    Attributes:
        consistent: of the regions on which the teacher is right, or wrong, as it is on the whole; the whole among them.
        complementary: of the regions on which it is right where it is wrong on the whole, or the other way round.
    """

    consistent: Tensor
    complementary: Tensor


def region_means(maps: Tensor, scales: Sequence[int] = (1, 2, 4)) -> Tensor:
    """Means of maps (N, D, H, W) over the cells of an s x s grid for every scale s, (N, D, sum of s^2).

    Scales come in the order given, cells row by row. A linear classifier's logits of the whole are the mean of its
    logits over the cells of a grid that divides the map evenly; a map smaller than the grid repeats its positions.

    Example:
        >>> import torch
        >>> region_means(torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]]), scales=(1, 2))
        tensor([[[3., 1., 2., 3., 6.]]])
    """
    if not isinstance(maps, Tensor) or maps.ndim != 4 or not maps.is_floating_point():
        found = f"{maps.dtype} {tuple(maps.shape)}" if isinstance(maps, Tensor) else type(maps).__name__
        raise ValueError(f"regions are of maps (N, D, H, W) of a floating type, got {found}")
    return torch.cat([F.adaptive_avg_pool2d(maps, scale).flatten(2) for scale in scales], dim=2)


def sdd_terms(losses: Tensor, teacher: Tensor, target: Tensor | None) -> SDDTerms:
    r"""Scale-decoupled distillation: a loss over regions, split by whether the teacher is as right there as at all.

    .. math:: \mathrm{SDD} = \frac{1}{N R} \sum_{nr} w_{nr} L_{nr}, \quad
        w_{nr} = \begin{cases} 1 & r \text{ right} = \text{whole right} \\ 2 & \text{else} \end{cases}

    where a region is right if the teacher's largest logit there is the target's: consistent + 2 complementary.

    Source: Wei, Luo, Luo, *Scale Decoupled Distillation*, CVPR 2024, arXiv:2403.13512.

    Args:
        losses: L, any distillation loss of every region, (N, R).
        teacher: logits of the regions (N, C, R), that of the whole first.
        target: class indices (N,), probabilities (N, C), of which the largest counts, or None for the teacher's own
            choice on the whole.

    Returns:
        Both shares, in the unit of ``losses``.

    Raises:
        ValueError: shapes that do not fit.

    Example:
        >>> import torch
        >>> losses = torch.tensor([[1.0, 10.0, 100.0]])
        >>> teacher = torch.tensor([[[2.0, 0.0, 4.0], [1.0, 3.0, 0.0]]])  # chooses 0, 1, 0
        >>> consistent, complementary = sdd_terms(losses, teacher, torch.tensor([0]))
        >>> round(consistent.item(), 4), round(complementary.item(), 4)  # 101 / 3 and 10 / 3
        (33.6667, 3.3333)
    """
    if teacher.ndim != 3 or losses.shape != (teacher.shape[0], teacher.shape[2]):
        raise ValueError(
            "one loss (N, R) for the teacher's logits (N, C, R) of every region is wanted, got "
            f"{tuple(losses.shape)} and {tuple(teacher.shape)}"
        )
    choices = teacher.argmax(dim=1)
    if target is None:
        target = choices[:, 0]
    elif target.is_floating_point():
        target = target.argmax(dim=1)
    if target.shape != losses.shape[:1]:
        raise ValueError(f"target must have one class per sample, ({len(losses)},), got {tuple(target.shape)}")
    right = choices == target.unsqueeze(1)
    differs = right != right[:, :1]
    parts = (losses.masked_fill(mask, 0.0).sum() / losses.numel() for mask in (differs, ~differs))
    return SDDTerms(*parts)
