"""Variational information distillation: how well can the teacher's feature be told from the student's?"""

from torch import Tensor
from torch.nn import functional as F

from decant.losses.features import at_one_size, working_pair


def vid_loss(mean: Tensor, log_scale: Tensor, teacher: Tensor, eps: float = 1e-5) -> Tensor:
    r"""Variational information distillation: negative log-likelihood of the teacher's feature under a Gaussian.

    .. math:: \mathrm{VID} = \frac{1}{N C H W} \sum_{nchw} \frac{1}{2} \left(
        \frac{(t_{nchw} - \mu_{nchw})^2}{v_c} + \log v_c \right), \quad v_c = \log(1 + e^{a_c}) + \epsilon

    with mu the student's prediction and one learned variance v per channel. This is the mean of the CIFAR-100 protocol
    (weight 1 per stage); the paper's sum over channels and positions is C H W times the value, up to a constant. It is
    negative where the variance is small enough: 0 is not its minimum.

    Source: Ahn, Hu, Damianou, Lawrence, Dai, *Variational Information Distillation for Knowledge Transfer*, CVPR 2019,
    arXiv:1904.05835.

    Args:
        mean: the predicted feature, maps (N, C, H, W) of any floating type.
        log_scale: a, (C,); it receives a gradient and is to be trained.
        teacher: maps (N, C, H, W) of the same samples; of two sizes the larger is average-pooled to the smaller. Never
            receives a gradient.
        eps: the smallest variance.

    Returns:
        A scalar in nats; float32, or float64 if either feature is.

    Raises:
        TypeError: features that are not floating point.
        ValueError: features that are not maps, different numbers of samples or channels, a log_scale that is not (C,).

    Example:
        >>> import torch
        >>> mean, teacher = torch.zeros(1, 1, 1, 1), torch.full((1, 1, 1, 1), 2.0)
        >>> round(vid_loss(mean, torch.zeros(1), teacher).item(), 4)  # (4 / log 2 + log log 2) / 2
        2.7021
    """
    mean, teacher = at_one_size(*working_pair(mean, teacher, 4))
    if mean.shape[1] != teacher.shape[1] or log_scale.shape != teacher.shape[1:2]:
        raise ValueError(
            f"the teacher has {teacher.shape[1]} channels; mean must have as many, and log_scale one value for each: "
            f"got {mean.shape[1]} channels and shape {tuple(log_scale.shape)}"
        )
    variance = (F.softplus(log_scale.to(mean)) + eps).view(-1, 1, 1)
    return 0.5 * ((mean - teacher).square() / variance + variance.log()).mean()
