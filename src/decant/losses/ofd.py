"""The partial distance of the overhaul of feature distillation: no complaint where both networks are silent."""

import torch
from torch import Tensor

from decant.losses.features import same_shape, working_pair


def ofd_loss(student: Tensor, teacher: Tensor, margin: Tensor) -> Tensor:
    r"""Overhaul of feature distillation: partial squared distance of one stage's features before their ReLU.

    .. math:: \mathrm{OFD} = \frac{1}{N} \sum_{nchw} \begin{cases} 0 & s \le g \le 0 \\ (s - g)^2 & \text{else}
        \end{cases}, \qquad g = \max(t, m_c)

    A teacher's value below the margin m is raised to it: how negative it is says nothing, a ReLU follows. This is the
    paper's distance per sample, averaged over the batch (weight 1e-3 in the CIFAR-100 protocol, halved with every
    stage before the last).

    Source: Heo, Kim, Yun, Park, Kwak, Choi, *A Comprehensive Overhaul of Feature Distillation*, ICCV 2019,
    arXiv:1904.01866.

    Args:
        student: maps (N, C, H, W) of any floating type, brought to the teacher's channels and size.
        teacher: maps of the same shape; never receives a gradient.
        margin: (C,), at most 0: the teacher's mean over its negative values, by channel.

    Returns:
        A scalar in squared units of the features; float32, or float64 if either feature is.

    Raises:
        TypeError: features that are not floating point.
        ValueError: shapes that differ, features that are not maps, a margin that is not (C,).

    Example:
        >>> import torch
        >>> student = torch.tensor([[[[-9.0, 0.0, 1.0]]]])
        >>> teacher = torch.tensor([[[[-9.0, -9.0, 3.0]]]])
        >>> ofd_loss(student, teacher, torch.tensor([-0.5])).item()  # 0 + 0.5^2 + 2^2
        4.25
    """
    student, teacher = working_pair(student, teacher, 4)
    same_shape(student, teacher, "bring the student's map to the teacher's channels and size first")
    if margin.shape != teacher.shape[1:2]:
        raise ValueError(f"margin must have one value per channel, ({teacher.shape[1]},), got {tuple(margin.shape)}")
    goal = torch.maximum(teacher, margin.detach().to(teacher).view(-1, 1, 1))
    counts = (goal > 0) | (student > goal)
    return torch.where(counts, student - goal, 0.0).square().sum() / len(student)
