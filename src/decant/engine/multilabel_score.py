"""How well a network says which of many classes a picture has: mean average precision, F1, exact matches."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from decant.data import Images
from decant.engine.evaluate import forward_passes
from decant.engine.parallel import Parallel


@dataclass(frozen=True)
class MultilabelScore:
    """How well yes/no outputs do on a set of pictures.

    Attributes:
        map: mean over classes of the average precision, in percent: how well each class's pictures are ranked before
            the others. A class that no picture has, or every one, has no ranking and is left out.
        classes: how many classes that is the mean of.
        f1: micro-averaged F1 in percent: of all yes and no, 2 TP / (2 TP + FP + FN), yes where the logit is above 0.
        exact: percent of samples with every class right.
        loss: mean binary cross-entropy over samples and classes, in nats.
        samples: how many samples were counted.
    """

    map: float
    classes: int
    f1: float
    exact: float
    loss: float
    samples: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a log."""
        return asdict(self)


def evaluate_multilabel(
    network: nn.Module, images: Images, parallel: Parallel, *, channels_last: bool = True
) -> MultilabelScore:
    """The network's score, in eval mode, every sample counted once over all processes.

    Args:
        network: images to logits (N, C); its training mode is given back afterwards.
        images: what it is judged on, with targets (N, C).
        parallel: device and precision.
        channels_last: memory layout of the images.
    """
    logits = torch.zeros(images.size, len(images.classes), dtype=torch.float64, device=parallel.device)
    for said, _, index in forward_passes(network, images, parallel, None, channels_last):
        logits[index] = said.double()
    return score_multilabel(parallel.total(logits), images.target)


def score_multilabel(logits: Tensor, target: Tensor) -> MultilabelScore:
    """The score of logits (N, C) against 0 and 1 for every class (N, C).

    Raises:
        ValueError: shapes that differ; targets in which no class is had by some samples and not by others.

    Example:
        >>> logits = torch.tensor([[3.0, -1.0], [2.0, -2.0], [-1.0, 1.0]])
        >>> score = score_multilabel(logits, torch.tensor([[1, 1], [0, 0], [1, 0]]))
        >>> round(score.map, 2), round(score.f1, 2), score.exact
        (66.67, 33.33, 0.0)
    """
    from sklearn.metrics import average_precision_score  # here: importing it takes seconds

    if logits.shape != target.shape or logits.ndim != 2:
        raise ValueError(f"logits and target are both (N, C), got {tuple(logits.shape)} and {tuple(target.shape)}")
    has, yes = target.cpu() > 0.5, logits.cpu() > 0
    ranked = (has.any(0) & ~has.all(0)).nonzero()[:, 0].tolist()
    if not ranked:
        raise ValueError("no class is had by some of the samples and not by others: there is nothing to rank")
    scores, hits = logits.detach().cpu().double().numpy(), has.numpy()
    precision = [average_precision_score(hits[:, place], scores[:, place]) for place in ranked]
    true, wrong = int((yes & has).sum()), int((yes != has).sum())
    return MultilabelScore(
        map=100 * float(np.mean(precision)),
        classes=len(ranked),
        f1=100 * 2 * true / max(2 * true + wrong, 1),
        exact=100 * float((yes == has).all(1).double().mean()),
        loss=float(F.binary_cross_entropy_with_logits(logits.detach().cpu().double(), has.double())),
        samples=len(logits),
    )
