"""LumiNet: logits as the batch sees them, each class standardised over the samples."""

from torch import Tensor

from decant.losses.arguments import check_batch, working_logits
from decant.losses.kd import kd_loss
from decant.losses.reduction import Reduction

# Added to the variance: the authors'.
EPSILON = 1e-5


def luminet_loss(
    student: Tensor, teacher: Tensor, *, temperature: float | Tensor = 4.0, reduction: Reduction = "mean"
) -> Tensor:
    r"""LumiNet: classical distillation of logits that are standardised class by class over the batch.

    .. math:: \mathrm{LumiNet} = T^2 \, \mathrm{KL}(\mathrm{softmax}(\tilde z_\mathrm{teacher} / T) \,\|\,
        \mathrm{softmax}(\tilde z_\mathrm{student} / T)), \quad
        \tilde z_{ic} = \frac{z_{ic} - \mu_c}{\sqrt{\sigma_c^2 + \epsilon}}

    with mu_c and sigma_c^2 mean and variance (divided by N) of class c over the batch, of each network by itself, and
    epsilon 1e-5. The factor T^2 is that of :func:`kd_loss`; the authors' code has alpha^2 in its place, which is
    alpha^2 / T^2 times this value.

    Source: Hossain, Elahi, Ramasinghe, Cheraghian, Rahman, Mohammed, Rahman, *LumiNet: The Bright Side of Perceptual
    Knowledge Distillation*, arXiv:2310.03669.

    Args:
        student: logits (N, C) of any floating type; at least 2 classes. The value depends on the whole batch.
        teacher: logits of the same shape; never receives a gradient.
        temperature: T > 0: a float, or a tensor as in :func:`kd_loss`.
        reduction: "mean" over the samples, "sum", or "none" for (N,).

    Returns:
        T^2 times nats, in float32, or float64 if either network's logits are.

    Raises:
        TypeError: logits that are not floating point.
        ValueError: shapes that do not fit or are not (N, C), fewer than 2 classes, no sample, a temperature that is
            not positive, an unknown reduction.

    Example:
        >>> import torch
        >>> student, teacher = torch.eye(3), torch.tensor([[4.0, 0.0, 0.0], [0.0, 8.0, 0.0], [2.0, 0.0, 4.0]])
        >>> round(luminet_loss(student, teacher).item(), 4)
        0.0272
    """
    check_batch(student, teacher)
    student, teacher = working_logits(student, teacher)
    return kd_loss(_perceived(student), _perceived(teacher), temperature=temperature, reduction=reduction)


def _perceived(logits: Tensor) -> Tensor:
    """Each class's logits over the batch with mean 0 and variance 1, (N, C)."""
    # Differences to one sample first: logits that are close, but far from 0, keep their digits.
    logits = logits - logits[:1].detach()
    centred = logits - logits.mean(dim=0)
    return centred / (centred.square().mean(dim=0) + EPSILON).sqrt()
