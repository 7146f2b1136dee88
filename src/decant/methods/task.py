"""The task's own loss, which every method but the label-free ones shares."""

import torch.nn.functional as F
from torch import Tensor

from decant.interfaces import Batch, Outputs


def hard_loss(student: Outputs, batch: Batch, weight: float = 1.0) -> Tensor:
    """Cross-entropy of the student's logits with the labels, in nats, averaged over the batch.

    Labels may be class indices (N,) or probabilities (N, C). ``weight`` does not scale the result: it says whether the
    term will count at all, so that a batch without labels is fine (and the term 0) where it does not.

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
    return F.cross_entropy(student.logits, batch.target)
