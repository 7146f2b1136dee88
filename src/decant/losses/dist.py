"""DIST: the student's predictions shall be in linear relation to the teacher's, not equal to them."""

from typing import NamedTuple

import torch
from torch import Tensor

from decant.losses.arguments import check_batch, working_logits, working_temperature
from decant.losses.divergence import softmax
from decant.losses.features import unit


class DISTTerms(NamedTuple):
    """The two relations of DIST, each a scalar: T^2 times a mean of 1 - correlation.

    Attributes:
        inter: over the classes of a sample: how does the sample relate to the classes?
        intra: over the samples of a class: how does the class relate to the samples of the batch?
    """

    inter: Tensor
    intra: Tensor


def dist_loss(
    student: Tensor,
    teacher: Tensor,
    *,
    inter_weight: float = 2.0,
    intra_weight: float = 2.0,
    temperature: float = 4.0,
) -> Tensor:
    r"""DIST: one minus Pearson's correlation of predictions, over classes and over samples.

    .. math:: \mathrm{DIST} = T^2 \left( \frac{\beta}{N} \sum_i \left(1 - \rho(p_{i\cdot}, q_{i\cdot})\right)
        + \frac{\gamma}{C} \sum_c \left(1 - \rho(p_{\cdot c}, q_{\cdot c})\right) \right)

    with p and q the softmax of the teacher's and the student's logits over T, and rho Pearson's correlation. Nothing
    stands against a division by 0: a row or column that is constant has no direction, and adds 0 if it is constant in
    both networks, 1/2 if in one.

    Source: Huang, You, Wang, Qian, Xu, *Knowledge Distillation from A Stronger Teacher*, NeurIPS 2022,
    arXiv:2205.10536. The factor T^2 is that of the CIFAR-100 experiments.

    Args:
        student: logits (N, C) of any floating type; at least 2 classes. The value depends on the whole batch.
        teacher: logits of the same shape; never receives a gradient.
        inter_weight: beta, weight of the relation over classes.
        intra_weight: gamma, weight of the relation over samples.
        temperature: T > 0, a number.

    Returns:
        A scalar, T^2 times a number from 0 to 2 per unit of weight; float32, or float64 if either network's logits are.

    Raises:
        TypeError: logits that are not floating point, a temperature that is no number.
        ValueError: shapes that do not fit or are not (N, C), fewer than 2 classes, no sample, a temperature that is
            not positive.

    Example:
        >>> import torch
        >>> student, teacher = torch.eye(3), torch.tensor([[4.0, 0.0, 0.0], [0.0, 8.0, 0.0], [2.0, 0.0, 4.0]])
        >>> round(dist_loss(student, teacher).item(), 4)
        2.1471
    """
    inter, intra = dist_terms(student, teacher, temperature=temperature)
    return inter_weight * inter + intra_weight * intra


def dist_terms(student: Tensor, teacher: Tensor, *, temperature: float = 4.0) -> DISTTerms:
    """Both relations apart, to be logged and weighted by the caller; everything else as in :func:`dist_loss`.

    Example:
        >>> import torch
        >>> student, teacher = torch.eye(3), torch.tensor([[4.0, 0.0, 0.0], [0.0, 8.0, 0.0], [2.0, 0.0, 4.0]])
        >>> inter, intra = dist_terms(student, teacher)
        >>> round(inter.item(), 4), round(intra.item(), 4)
        (0.3867, 0.6869)
    """
    check_batch(student, teacher)
    if isinstance(temperature, Tensor):
        raise TypeError("temperature must be a number here: the relation over samples mixes their temperatures")
    working_temperature(temperature, student)
    student, teacher = working_logits(student, teacher)
    p, q = softmax(teacher, temperature), softmax(student, temperature)
    # A correlation ignores factors and shifts. So rows stay undivided by their totals, columns are put over their
    # largest entry (no class is so rare in a batch that its probabilities underflow), and expm1 takes off the 1 that
    # centring would, without the rounding.
    inter = _decorrelation(torch.expm1(q.scaled), torch.expm1(p.scaled), dim=1)
    q_column, p_column = (s.scaled - s.total.log().unsqueeze(1) for s in (q, p))
    q_column, p_column = (torch.expm1(log - log.detach().amax(dim=0)) for log in (q_column, p_column))
    intra = _decorrelation(q_column, p_column, dim=0)
    return DISTTerms(temperature**2 * inter, temperature**2 * intra)


def _decorrelation(student: Tensor, teacher: Tensor, dim: int) -> Tensor:
    """The mean of 1 - correlation along ``dim``, as half the squared distance of unit vectors: exact near 0."""
    u, v = (unit(values - values.mean(dim=dim, keepdim=True), dim) for values in (student, teacher))
    return (u - v).square().sum(dim=dim).mean() / 2
