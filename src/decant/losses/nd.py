"""Norm and direction: a feature that points where the teacher's class lies, and is as long as the teacher's."""

import torch
from torch import Tensor

from decant.losses.features import same_shape, working_pair


def nd_loss(student: Tensor, teacher: Tensor, direction: Tensor) -> Tensor:
    r"""Norm and direction of a feature: how far the student gets along the teacher's class mean.

    .. math:: \mathrm{ND} = \frac{1}{N} \sum_n \left( 1 -
        \frac{\langle s_n, e_n \rangle}{\max(\|s_n\|, \|t_n\|)} \right)

    with e the direction of the sample's class: the mean of the teacher's features of that class over its length. A
    student that is shorter than the teacher gains by growing, a longer one by turning alone. It is 0 for a student that
    lies on e and is at least as long as its teacher; a copy of a teacher that is off its class mean has a loss.

    Source: Wang, Cheng, Duan, Wang, Feng, Kong, *Improving Knowledge Distillation via Regularizing Feature Norm and
    Direction*, arXiv:2305.17007.

    Args:
        student: features (N, D) of any floating type.
        teacher: features (N, D) of the same samples; never receives a gradient.
        direction: e, (N, D), a unit vector per sample; where labels are mixed, the same mixture of unit vectors, which
            gives the expectation of the loss.

    Returns:
        A scalar without unit, 0 to 2; float32, or float64 if either feature is.

    Raises:
        TypeError: features that are not floating point.
        ValueError: features that are not (N, D), or of different shapes, and a direction of another one.

    Example:
        >>> import torch
        >>> student, teacher = torch.tensor([[3.0, 4.0]]), torch.tensor([[6.0, 8.0]])
        >>> nd_loss(student, teacher, torch.tensor([[1.0, 0.0]])).item()  # 1 - 3 / 10
        0.699999988079071
    """
    student, teacher = working_pair(student, teacher, 2)
    same_shape(student, teacher, "bring the student's feature to the teacher's length first")
    if direction.shape != student.shape:
        raise ValueError(
            f"direction must have one vector per sample, {tuple(student.shape)}, got {tuple(direction.shape)}"
        )
    along = (student * direction.detach().to(student)).sum(dim=1)
    longer = torch.maximum(*(torch.linalg.vector_norm(feature, dim=1) for feature in (student, teacher)))
    # Where both are 0, nothing has a direction: 1, with a gradient of ordinary size.
    return (1 - along / longer.masked_fill(longer == 0, 1.0)).mean()
