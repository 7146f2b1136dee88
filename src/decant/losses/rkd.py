"""Relational knowledge distillation: distances and angles between the samples of a batch."""

import torch
from torch import Tensor
from torch.nn import functional as F

from decant.losses.features import full_precision, working_pair


def rkd_loss(student: Tensor, teacher: Tensor, distance_weight: float = 25.0, angle_weight: float = 50.0) -> Tensor:
    r"""Relational knowledge distillation: distances of pairs and angles of triplets, compared by the Huber loss h.

    .. math:: \mathrm{RKD} = \frac{w_\mathrm{distance}}{N^2} \sum_{ij} h\!\left(
        \frac{\|s_i - s_j\|}{\mu_s} - \frac{\|t_i - t_j\|}{\mu_t} \right) + \frac{w_\mathrm{angle}}{N^3} \sum_{ijk}
        h\!\left( \cos \angle s_j s_i s_k - \cos \angle t_j t_i t_k \right)

    with mu the mean distance of different samples. These are the means of the CIFAR-100 protocol; the sums, which the
    paper prints, are N^2 and N^3 times the two parts. Samples that coincide have distance 0 and no angle, which counts
    as a cosine of 0. Time and memory grow as N^3.

    Source: Park, Kim, Lu, Cho, *Relational Knowledge Distillation*, CVPR 2019, arXiv:1904.05068.

    Args:
        student: features (N, D) of any floating type.
        teacher: features (N, E) of the same samples; never receives a gradient.
        distance_weight: weight of the distances.
        angle_weight: weight of the angles.

    Returns:
        A scalar without unit; float32, or float64 if either feature is. 0 for a single sample.

    Raises:
        TypeError: features that are not floating point.
        ValueError: features that are not (N, D), or of different numbers of samples.

    Example:
        >>> import torch
        >>> student, teacher = torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([[0.0], [1.0], [3.0]])
        >>> round(rkd_loss(student, teacher).item(), 4)  # on a line all angles are equal; 25 (4 h(1/4)) / 9
        0.3472
    """
    student, teacher = working_pair(student, teacher, 2)
    with full_precision(student):
        (s_distances, s_cosines), (t_distances, t_cosines) = _relations(student), _relations(teacher)
    distance, angle = F.smooth_l1_loss(s_distances, t_distances), F.smooth_l1_loss(s_cosines, t_cosines)
    return distance_weight * distance + angle_weight * angle


def _relations(features: Tensor) -> tuple[Tensor, Tensor]:
    """Distances (N, N) over their mean, and the cosine [i, j, k] of the angle at i between j and k, (N, N, N)."""
    samples = len(features)
    # Differences themselves rather than products of the features: these cancel where samples are close.
    edges = features.unsqueeze(0) - features.unsqueeze(1)
    distances = torch.linalg.vector_norm(edges, dim=2)
    # A distance of 0 is divided by 1: its tiny stand-in would come back inverted, as a gradient.
    directions = edges / distances.masked_fill(distances == 0, 1.0).unsqueeze(2)
    mean = distances.sum() / max(samples * (samples - 1), 1)
    return distances / mean.masked_fill(mean == 0, 1.0), directions @ directions.mT
