"""Similarity-preserving distillation: samples that are alike to the teacher are alike to the student."""

from torch import Tensor

from decant.losses.features import full_precision, unit, working_pair


def sp_loss(student: Tensor, teacher: Tensor) -> Tensor:
    r"""Similarity-preserving distillation: squared distance of the batch's similarity matrices.

    .. math:: \mathrm{SP} = \frac{1}{N^2} \| \tilde G_s - \tilde G_t \|_F^2

    with G the products of all pairs of flattened features, (N, N), and G~ its rows scaled to length 1. This is the
    paper's formula for one pair of layers, and the CIFAR-100 protocol's (weight 3000, last stage).

    Source: Tung, Mori, *Similarity-Preserving Knowledge Distillation*, ICCV 2019, arXiv:1907.09682.

    Args:
        student: features (N, ...) of any floating type.
        teacher: features (N, ...) of the same samples, of any other size; never receives a gradient.

    Returns:
        A scalar without unit, at most 4 / N; float32, or float64 if either feature is.

    Raises:
        TypeError: features that are not floating point.
        ValueError: features without a batch dimension, or of different numbers of samples.

    Example:
        >>> import torch
        >>> student, teacher = torch.eye(2), torch.ones(2, 2)
        >>> round(sp_loss(student, teacher).item(), 4)
        0.2929
    """
    student, teacher = working_pair(student, teacher)
    with full_precision(student):
        return (_similarity(student) - _similarity(teacher)).square().mean()


def _similarity(features: Tensor) -> Tensor:
    flat = features.flatten(1)
    return unit(flat @ flat.mT, dim=1)
