"""Probabilistic knowledge transfer: which samples of the batch are each other's neighbours?"""

import torch
from torch import Tensor

from decant.losses.features import full_precision, working_pair

# In the norms and the logarithm: the protocol's.
EPSILON = 1e-7


def pkt_loss(student: Tensor, teacher: Tensor) -> Tensor:
    r"""Probabilistic knowledge transfer: divergence of the neighbourhoods within a batch.

    .. math:: \mathrm{PKT} = \frac{1}{N^2} \sum_{ij} p_{ij} \log \frac{p_{ij} + \epsilon}{q_{ij} + \epsilon}, \quad
        p_{ij} = \frac{1 + \cos(t_i, t_j)}{\sum_k (1 + \cos(t_i, t_k))}

    with q the same of the student, and epsilon 1e-7. This is the mean over all entries of the CIFAR-100 protocol
    (weight 30000); the sum over the pairs, which the paper prints, is N^2 times the value. As in the protocol, a sample
    counts among its own neighbours.

    Source: Passalis, Tefas, *Learning Deep Representations with Probabilistic Knowledge Transfer*, ECCV 2018,
    arXiv:1803.10837.

    Args:
        student: features (N, D) of any floating type.
        teacher: features (N, E) of the same samples; never receives a gradient.

    Returns:
        A scalar in nats; float32, or float64 if either feature is.

    Raises:
        TypeError: features that are not floating point.
        ValueError: features that are not (N, D), or of different numbers of samples.

    Example:
        >>> import torch
        >>> student, teacher = torch.eye(2), torch.tensor([[1.0, 0.0], [3.0, 0.0]])
        >>> round(pkt_loss(student, teacher).item(), 4)
        0.0294
    """
    student, teacher = working_pair(student, teacher, 2)
    with full_precision(student):
        q, p = _neighbours(student), _neighbours(teacher)
    return (p * ((p + EPSILON) / (q + EPSILON)).log()).mean()


def _neighbours(features: Tensor) -> Tensor:
    """Row i: the share of each sample in the neighbourhood of sample i, (N, N)."""
    scaled: Tensor = features / (torch.linalg.vector_norm(features, dim=1, keepdim=True) + EPSILON)
    similarity = (scaled @ scaled.mT + 1) / 2
    return similarity / similarity.sum(dim=1, keepdim=True)
