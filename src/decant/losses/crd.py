"""The contrast of contrastive representation distillation: tell a sample's other feature from those of strangers."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def nce_loss(positive: Tensor, negatives: Tensor, size: int, eps: float = 1e-7) -> Tensor:
    r"""Noise-contrastive estimation: log-loss of telling one positive from K negatives that were drawn uniformly.

    .. math:: \mathrm{NCE} = -\frac{1}{N} \sum_n \left( \log \frac{P_n}{P_n + K/M + \epsilon}
        + \sum_k \log \frac{K/M}{P_{nk} + K/M + \epsilon} \right)

    with P the model's probability of a sample, given by its logarithm: exp(cosine / T) over a normaliser, for CRD; and
    M the number of samples that negatives are drawn from. Contrastive representation distillation adds this loss of
    the student's feature against the teacher's memory and the other way round (weight 0.8 in the CIFAR-100 protocol).
    The paper's formula has no epsilon; it adds about K eps M / K to the value, and next to nothing to the gradient.

    Source: Tian, Krishnan, Isola, *Contrastive Representation Distillation*, ICLR 2020, arXiv:1910.10699, after
    Gutmann and Hyvaerinen 2010.

    Args:
        positive: log P of each sample's own pair, (N,), of any floating type.
        negatives: log P of K strangers per sample, (N, K).
        size: M, at least 1.
        eps: epsilon of the formula.

    Returns:
        A scalar in nats, summed over the negatives; float32, or float64 if either input is.

    Raises:
        TypeError: inputs that are not floating point.
        ValueError: shapes that do not fit, no negatives, a size below 1.

    Example:
        >>> import torch
        >>> certain = nce_loss(torch.tensor([9.0]), torch.tensor([[-9.0, -9.0]]), size=2)
        >>> unsure = nce_loss(torch.tensor([0.0]), torch.tensor([[0.0, 0.0]]), size=2)  # 3 log 2
        >>> round(certain.item(), 4), round(unsure.item(), 4)
        (0.0004, 2.0794)
    """
    for name, values in (("positive", positive), ("negatives", negatives)):
        if not values.is_floating_point():
            raise TypeError(f"{name} must hold floating-point log-probabilities, got {values.dtype}")
    if positive.ndim != 1 or negatives.ndim != 2 or len(positive) != len(negatives) or not negatives.numel():
        raise ValueError(
            f"positive must be (N,) and negatives (N, K) with N and K at least 1, got {tuple(positive.shape)} and "
            f"{tuple(negatives.shape)}"
        )
    if size < 1:
        raise ValueError(f"size, the number of samples that negatives are drawn from, must be at least 1, got {size}")
    dtype = torch.float64 if torch.float64 in (positive.dtype, negatives.dtype) else torch.float32
    noise = negatives.shape[1] / size
    other = math.log(noise + eps)
    # log(P + c) = log c + softplus(log P - log c): no probability is formed that could overflow.
    missed = F.softplus(other - positive.to(dtype))
    mistaken = F.softplus(negatives.to(dtype) - other) + (other - math.log(noise))
    return missed.mean() + mistaken.sum(dim=1).mean()
