"""The target of a sample: to the task's own loss its label, to a decoupled loss a class that is never missing."""

import torch
import torch.nn.functional as F
from torch import Tensor

from decant.interfaces import UNLABELLED, Batch, Outputs


def hard_loss(student: Outputs, batch: Batch, weight: float = 1.0) -> Tensor:
    """Cross-entropy of the student's logits with the labels, in nats, averaged over the samples that carry one.

    Labels may be class indices (N,), ``UNLABELLED`` for a sample without one, or probabilities (N, C); where no sample
    of the batch carries one, the loss is 0. With ``batch.labelled`` the sum over samples is divided by that instead, so
    that the mean over processes is the average over the samples of all of them. ``weight`` does not scale the result:
    it says whether the term will count at all, so that a target of None is fine (and the term 0) where it does not.

    Raises:
        ValueError: the batch has no labels although the term counts.
    """
    if batch.target is None:
        if weight == 0:
            return student.logits.new_zeros(())
        raise ValueError(
            "this method has a task term with a weight above 0, which needs labels, but the batch has none "
            "(target is None); give labels, or set the weight of the task term to 0"
        )
    if batch.target.is_floating_point():
        return F.cross_entropy(student.logits, batch.target)
    # The mean of no sample at all is NaN, in its gradient too: such a batch gets some classes and counts 0 times.
    carry = batch.target != UNLABELLED
    none = ~carry.any()
    loss = F.cross_entropy(student.logits, batch.target.masked_fill(none, 0), ignore_index=UNLABELLED) * ~none
    # As a factor, which is exactly 1 where all processes have as many labels.
    return loss if batch.labelled is None else loss * (carry.sum() / batch.labelled).to(loss.dtype)


def taught_target(teacher: Tensor, batch: Batch) -> Tensor | None:
    """The target that a loss splits the classes by: the label, or the teacher's arg-max where a sample carries none.

    Args:
        teacher: its logits (N, C).
        batch: whose target it is.

    Returns:
        Class indices (N,) without ``UNLABELLED``; other kinds of target as they are, among them None, which the losses
        take for the teacher's arg-max everywhere.

    >>> logits, images = torch.tensor([[0.0, 3.0], [0.0, 3.0]]), torch.zeros(2, 1)
    >>> taught_target(logits, Batch((images,), torch.tensor([0, UNLABELLED]), torch.arange(2)))
    tensor([0, 1])
    """
    target = batch.target
    if target is None or target.is_floating_point() or target.dtype == torch.bool or target.shape != teacher.shape[:1]:
        return target  # of the wrong kind or shape: the loss says what it expected
    return torch.where(target == UNLABELLED, teacher.argmax(dim=1), target)
