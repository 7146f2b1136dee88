"""Neuron selectivity transfer: do both networks have neurons that fire at the same places?"""

from collections.abc import Sequence

from torch import Tensor

from decant.losses.features import added, at_one_size, full_precision, unit, working_maps


def nst_loss(students: Sequence[Tensor], teachers: Sequence[Tensor]) -> Tensor:
    r"""Neuron selectivity transfer: squared maximum mean discrepancy of the channels' maps, summed over the stages.

    .. math:: \mathrm{NST} = \sum_\mathrm{stages} \frac{1}{N} \sum_n \left(
        \frac{1}{C_t^2} \sum_{ij} (t_i \cdot t_j)^2 + \frac{1}{C_s^2} \sum_{ij} (s_i \cdot s_j)^2
        - \frac{2}{C_s C_t} \sum_{ij} (s_i \cdot t_j)^2 \right)

    with s_i, t_j the channels of one sample as unit vectors over their H W positions: the kernel is the polynomial one
    of degree 2. It is the paper's discrepancy per sample, averaged over the batch (weight 50 in the CIFAR-100 protocol;
    the paper writes lambda / 2 with lambda 50).

    Source: Huang, Wang, *Like What You Like: Knowledge Distill via Neuron Selectivity Transfer*, arXiv:1707.01219.

    Args:
        students: one map (N, C, H, W) per stage, of any floating type.
        teachers: as many maps of the same samples; channels may differ, and of two sizes the larger is average-pooled
            to the smaller. Never receives a gradient.

    Returns:
        A scalar without unit, between 0 and 2 per stage; float32, or float64 if any feature of a stage is.

    Raises:
        TypeError: features that are not floating point, a single tensor in place of a sequence.
        ValueError: different numbers of stages or samples, features that are not maps.

    Example:
        >>> import torch
        >>> student = torch.tensor([[[[2.0, 0.0]]]])
        >>> teacher = torch.tensor([[[[1.0, 1.0]], [[0.0, 5.0]]]])
        >>> round(nst_loss([student], [teacher]).item(), 4)
        1.25
    """
    return added(_discrepancy(student, teacher) for student, teacher in working_maps(students, teachers))


def _discrepancy(student: Tensor, teacher: Tensor) -> Tensor:
    s, t = (unit(maps.flatten(2), dim=2) for maps in at_one_size(student, teacher))
    (samples, s_channels, positions), t_channels = s.shape, t.shape[1]
    with full_precision(s):
        if positions < min(s_channels, t_channels):
            # sum_ij (s_i . t_j)^2 is also the product of the two moment matrices (H W, H W), so that the discrepancy is
            # their squared distance: fewer products than over channel pairs, and nothing cancels.
            difference = s.mT @ s / s_channels - t.mT @ t / t_channels
            return difference.square().sum() / samples
        return _kernel_mean(t, t) + _kernel_mean(s, s) - 2 * _kernel_mean(s, t)


def _kernel_mean(a: Tensor, b: Tensor) -> Tensor:
    """The mean over samples and channel pairs of (a_i . b_j)^2."""
    return (a @ b.mT).square().mean()
