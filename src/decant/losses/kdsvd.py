"""Distillation by singular value decomposition: how does one stage's main pattern relate to the next one's?"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from decant.losses.features import added, at_one_size, full_precision, unit, working_maps

# The student offers so many vectors more than the teacher has, of which the best aligned is taken (arXiv:1807.06819).
SPARE = 3


def kdsvd_loss(students: Sequence[Tensor], teachers: Sequence[Tensor], k: int = 1) -> Tensor:
    r"""Self-supervised distillation by SVD: relations of consecutive stages' leading singular vectors, summed.

    .. math:: \mathrm{KDSVD} = \frac{1}{N} \sum_{n,\,i > 1} \sum_{w w' j} \left(
        r(\sigma_{ij} s_{iwj}, \sigma_{i-1,j} s_{i-1,w'j}) - r(\sigma_{ij} t_{iwj}, \sigma_{i-1,j} t_{i-1,w'j})
        \right)^2, \quad r(a, b) = e^{-(a - b)^2 / 8}

    A stage's feature is taken as a matrix (C H, W). t_j are the teacher's k leading right singular vectors, over image
    columns w; s_j is that of the student's k + 3 leading ones which is most parallel to t_j, in its direction; sigma
    are the teacher's k leading singular values, scaled to length 1. A singular vector has no sign of its own: each t_j
    is turned so that its entries have a positive sum. The vectors of values that are equal have no derivative; it is
    taken as 0 between them.

    This is the normalisation of the CIFAR-100 protocol (weight 1). The paper takes the matrix as (H W, C), with
    vectors over channels; no factor leads from one to the other.

    Source: Lee, Kim, Song, *Self-supervised Knowledge Distillation Using Singular Value Decomposition*, ECCV 2018,
    arXiv:1807.06819.

    Args:
        students: one map (N, C, H, W) per stage, of any floating type, at least two stages.
        teachers: as many maps of the same samples; channels may differ, and of two sizes the larger is average-pooled
            to the smaller. Never receives a gradient.
        k: singular vectors per stage, at least 1; a map that is less than k wide has as many as it is wide.

    Returns:
        A scalar without unit; float32, or float64 if any feature of a stage is.

    Raises:
        TypeError: features that are not floating point, a single tensor in place of a sequence.
        ValueError: different numbers of stages or samples, fewer than 2 stages, features that are not maps, k below 1.

    Example:
        >>> import torch
        >>> edge, even = torch.tensor([[[[1.0, 0.0]]]]), torch.tensor([[[[1.0, 1.0]]]])
        >>> round(kdsvd_loss([edge, edge], [edge, even]).item(), 4)
        0.0184
    """
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ValueError(f"k must be a whole number of at least 1, got {k!r}")
    pairs = [at_one_size(student, teacher) for student, teacher in working_maps(students, teachers)]
    if len(pairs) < 2:
        raise ValueError("kdsvd_loss compares consecutive stages: give at least 2 feature maps per network, got 1")
    with full_precision(pairs[0][0]):
        stages = [_aligned_vectors(student, teacher, k) for student, teacher in pairs]
    return added(
        (_relations(before[0], after[0]) - _relations(before[1], after[1])).square().sum() / len(pairs[0][0])
        for before, after in pairwise(stages)
    )


def _aligned_vectors(student: Tensor, teacher: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Both (N, W, k): the teacher's leading right singular vectors, and the student's that go with them."""
    s_vectors, _ = _right_singular(student, k + SPARE)
    t_vectors, t_values = _right_singular(teacher, k)
    total = t_vectors.sum(dim=1, keepdim=True)
    t_vectors = t_vectors * torch.where(total < 0, -1.0, 1.0)
    cosine = s_vectors.detach().mT @ t_vectors
    best = cosine.abs().argmax(dim=1, keepdim=True)
    chosen = s_vectors.gather(2, best.expand(-1, s_vectors.shape[1], -1)) * cosine.gather(1, best).sign()
    weight = unit(t_values, dim=1).unsqueeze(1)
    return chosen * weight, t_vectors * weight


def _right_singular(maps: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Of (C H, W) matrices: leading right singular vectors (N, W, count) and values (N, count), or fewer if W is less.

    They are the eigenvectors of the small matrix (W, W). It squares the condition of the large one, which costs digits
    of the vectors of small values alone: those that count least here, each being weighted by its value.
    """
    matrices = maps.flatten(1, 2)
    gram = matrices.mT @ matrices
    with torch.no_grad():
        # What is not finite would make the decomposition fail; it comes back by way of ``change`` below.
        values, vectors = torch.linalg.eigh(gram.nan_to_num(0.0, 0.0, 0.0))
        values, vectors = values.flip(1).clamp(min=0.0), vectors.flip(2)
        gaps = values.unsqueeze(1) - values.unsqueeze(2)  # [i, j] = value j - value i
        equal = gaps.abs() <= len(gaps[0]) * torch.finfo(gaps.dtype).eps * values[:, :1, None]  # up to rounding
        rates = gaps.masked_fill(equal, torch.inf).reciprocal()[:, :, :count]
        leading = vectors[:, :, :count]
    # First-order perturbation, d v_j = sum_i v_i (v_i . dG v_j) / (value_j - value_i): the change itself is 0, and its
    # derivative is that of the eigenvectors, but for a rate of 0 where autograd's own would divide by 0.
    change = gram - gram.detach()
    leading = leading + vectors @ (rates * (vectors.mT @ change @ leading))
    return leading, values[:, :count].sqrt()


def _relations(before: Tensor, after: Tensor) -> Tensor:
    """Similarities (N, W', W, k) of all entries of the same vector in two stages."""
    return (-(after.unsqueeze(1) - before.unsqueeze(2)).square() / 8).exp()
