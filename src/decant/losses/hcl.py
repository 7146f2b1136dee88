"""The hierarchical context loss, with which ReviewKD compares its fused features."""

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F

from decant.losses.features import added, same_shape, working_maps

LEVELS = (4, 2, 1)


def hcl_loss(students: Sequence[Tensor], teachers: Sequence[Tensor]) -> Tensor:
    r"""Hierarchical context loss: mean squares on a pyramid of poolings, averaged per stage, summed over the stages.

    .. math:: \mathrm{HCL} = \sum_\mathrm{stages} \frac{\sum_l 2^{-l} \, \mathrm{MSE}(P_l s, P_l t)}{\sum_l 2^{-l}}

    where P_0 leaves the map as it is and P_1, P_2, ... average it to 4 x 4, 2 x 2 and 1 x 1, as far as these are
    smaller than the map. The paper's normalisation and the CIFAR-100 protocol's (weights 1 to 8 by pair) are this one.

    Source: Chen, Liu, Zhao, Jia, *Distilling Knowledge via Knowledge Review*, CVPR 2021, arXiv:2104.09044.

    Args:
        students: one map (N, C, H, W) per stage, of any floating type; (N, C, 1, 1) for a pooled feature.
        teachers: maps of the same shapes; never receives a gradient.

    Returns:
        A scalar in squared units of the features; float32, or float64 if any feature of a stage is.

    Raises:
        TypeError: features that are not floating point, a single tensor in place of a sequence.
        ValueError: different numbers of stages, shapes that differ, features that are not maps.

    Example:
        >>> import torch
        >>> student, teacher = torch.zeros(1, 1, 2, 2), torch.tensor([[[[2.0, 0.0], [0.0, 0.0]]]])
        >>> round(hcl_loss([student], [teacher]).item(), 4)  # (1 + 0.25 / 2) / 1.5
        0.75
    """
    return added(_pyramid(student, teacher) for student, teacher in working_maps(students, teachers))


def _pyramid(student: Tensor, teacher: Tensor) -> Tensor:
    same_shape(student, teacher, "bring the student's maps to the teacher's channels and sizes first")
    difference = student - teacher  # averages are linear: pooling this does for both
    height, width = difference.shape[2:]
    # Blocks that lie in each other are averaged from each other, others from the map itself.
    nested = height % LEVELS[0] == 0 and width % LEVELS[0] == 0
    pooled, total, weight, weights = difference, F.mse_loss(student, teacher), 1.0, 1.0
    for level in LEVELS:
        if level < min(height, width):
            pooled, weight = F.adaptive_avg_pool2d(pooled if nested else difference, level), weight / 2
            total = total + weight * pooled.square().mean()
            weights += weight
    return total / weights
