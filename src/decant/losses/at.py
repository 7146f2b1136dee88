"""Attention transfer: where in the image does a stage look?"""

import math
from collections.abc import Sequence

from torch import Tensor

from decant.losses.features import added, at_one_size, unit, working_maps


def at_loss(students: Sequence[Tensor], teachers: Sequence[Tensor], power: float = 2) -> Tensor:
    r"""Attention transfer: the distance of normalised maps of activation, summed over the stages.

    .. math:: \mathrm{AT} = \sum_\mathrm{stages} \frac{1}{N H W} \sum_n
        \left\| \frac{a(s_n)}{\|a(s_n)\|_2} - \frac{a(t_n)}{\|a(t_n)\|_2} \right\|_2^2, \quad
        a(f)_{hw} = \sum_c |f_{chw}|^\mathrm{power}

    This is the mean over samples and positions of the CIFAR-100 protocol (weight 1000). The sum over positions, which
    the paper prints, is H W times a stage's value.

    Source: Zagoruyko, Komodakis, *Paying More Attention to Attention*, ICLR 2017, arXiv:1612.03928.

    Args:
        students: one map (N, C, H, W) per stage, of any floating type.
        teachers: as many maps of the same samples; channels may differ, and of two sizes the larger is average-pooled
            to the smaller. Never receives a gradient.
        power: at least 1.

    Returns:
        A scalar without unit, at most 4 / (H W) per stage; float32, or float64 if any feature of a stage is.

    Raises:
        TypeError: features that are not floating point, a single tensor in place of a sequence.
        ValueError: different numbers of stages or samples, features that are not maps, a power below 1.

    Example:
        >>> import torch
        >>> student = torch.tensor([[[[1.0, 0.0]]]])
        >>> teacher = torch.tensor([[[[3.0, 3.0]]]])
        >>> round(at_loss([student], [teacher]).item(), 4)
        0.2929
    """
    if not 1 <= power < math.inf:
        raise ValueError(f"power must be finite and at least 1, got {power}")
    pairs = [at_one_size(student, teacher) for student, teacher in working_maps(students, teachers)]
    return added(
        (_attention(student, power) - _attention(teacher, power)).square().mean() for student, teacher in pairs
    )


def _attention(maps: Tensor, power: float) -> Tensor:
    """(N, C, H, W) -> unit vectors (N, H W)."""
    strength = maps * maps if power == 2 else maps.abs().pow(power)
    return unit(strength.sum(dim=1).flatten(1), dim=1)
