"""Logits with mean 0 and standard deviation 1: a pre-processing that any loss on logits can have."""

import math

import torch
from torch import Tensor

from decant.losses.arguments import check_logits

# Added to the standard deviation: the authors'.
EPSILON = 1e-7


def standardise_logits(logits: Tensor) -> Tensor:
    r"""Logits over their standard deviation, after their mean was taken off; at every position by itself.

    .. math:: \tilde z_c = \frac{z_c - \mu}{\sigma + \epsilon}

    with mu and sigma mean and standard deviation over the C classes (sigma^2 divided by C - 1, as in the authors' code)
    and epsilon 1e-7. Of two networks both treated so, neither has to copy the other's scale. Logits that are all equal
    become 0, with a gradient of ordinary size. Of two classes only which one leads is left.

    Source: Sun, Ren, Li, Wang, Cao, *Logit Standardization in Knowledge Distillation*, CVPR 2024, arXiv:2403.01427.

    Args:
        logits: (N, C) or (N, C, d1, ...) of any floating type; at least 2 classes.

    Returns:
        The same shape, in float32, or float64 if the logits are; differentiable.

    Raises:
        TypeError: logits that are not floating point.
        ValueError: no dimension of at least 2 classes.

    Example:
        >>> import torch
        >>> standardise_logits(torch.tensor([[10.0, 20.0, 30.0]])).round(decimals=4).tolist()
        [[-1.0, 0.0, 1.0]]
    """
    check_logits(logits, logits)
    working = logits.to(torch.float64 if logits.dtype == torch.float64 else torch.float32)
    # The shift changes nothing but the rounding: logits that are close, but far from 0, keep their digits.
    working = working - working.detach().amax(dim=1, keepdim=True)
    centred = working - working.mean(dim=1, keepdim=True)
    norm: Tensor = torch.linalg.vector_norm(centred, dim=1, keepdim=True)
    # Over 1 where all are equal, rather than over epsilon, whose inverse would be the gradient.
    deviation = (norm / math.sqrt(logits.shape[1] - 1)).masked_fill(norm == 0, 1.0)
    return centred / (deviation + EPSILON)
