"""Evaluation: top-1, top-5, loss, and agreement with the teacher."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from decant.data import Images, PictureSet, plain_batches
from decant.engine.parallel import Parallel
from decant.interfaces import UNLABELLED


@dataclass(frozen=True)
class Score:
    """How well a network does on a set of pictures.

    Attributes:
        top1: percent of samples whose largest logit is the target's.
        top5: percent of samples whose target is among the five largest logits; None with fewer than six classes.
        loss: mean cross-entropy in nats.
        agreement: percent of samples on which network and teacher have the same largest logit; None without teacher.
        samples: how many samples were counted.
    """

    top1: float
    top5: float | None
    loss: float
    agreement: float | None
    samples: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a log."""
        return asdict(self)


def evaluate(
    network: nn.Module,
    images: Images,
    parallel: Parallel,
    *,
    batch_size: int | None = None,
    teacher_choice: Tensor | None = None,
    channels_last: bool = True,
) -> Score:
    """The network's score, in eval mode, every labelled sample counted once over all processes.

    Args:
        network: images to logits; its training mode is given back afterwards.
        images: what it is judged on.
        parallel: device and precision.
        batch_size: samples per forward pass; it does not change the result. None for 500, or for 64 pictures, which
            are larger.
        teacher_choice: the teacher's arg-max per sample (size,), from :func:`choices`.
        channels_last: memory layout of the images.
    """
    classes = len(images.classes)
    counts = torch.zeros(5, dtype=torch.float64, device=parallel.device)
    for logits, target, index in forward_passes(network, images, parallel, batch_size, channels_last):
        choice = logits.argmax(1)
        labelled = target != UNLABELLED
        counts[0] += labelled.sum()
        counts[1] += (choice == target).sum()
        if classes > 5:
            counts[2] += (logits.topk(5, dim=1).indices == target[:, None]).sum()
        counts[3] += F.cross_entropy(logits.float(), target, reduction="sum", ignore_index=UNLABELLED)
        if teacher_choice is not None:
            counts[4] += (labelled & (choice == teacher_choice[index])).sum()
    samples, first, fifth, loss, agreed = parallel.total(counts).tolist()
    return Score(
        top1=100 * first / samples,
        top5=100 * fifth / samples if classes > 5 else None,
        loss=loss / samples,
        agreement=100 * agreed / samples if teacher_choice is not None else None,
        samples=int(samples),
    )


def choices(
    network: nn.Module, images: Images, parallel: Parallel, *, batch_size: int | None = None, channels_last: bool = True
) -> Tensor:
    """The network's arg-max for every sample (size,), int64, in the data set's order, on every process."""
    chosen = torch.zeros(images.size, dtype=torch.int64, device=parallel.device)
    for logits, _, index in forward_passes(network, images, parallel, batch_size, channels_last):
        chosen[index] = logits.argmax(1)
    return parallel.total(chosen)


def forward_passes(
    network: nn.Module, images: Images, parallel: Parallel, batch_size: int | None, channels_last: bool
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Logits, target and index of every batch, in eval mode and in order; the training mode is given back."""
    batch_size = batch_size or (64 if isinstance(images, PictureSet) else 500)
    training = network.training
    network.eval()
    layout = torch.channels_last if channels_last else torch.contiguous_format
    try:
        with torch.no_grad(), parallel.autocast(), parallel.together(network):
            for batch in plain_batches(
                images, batch_size, rank=parallel.rank, world=parallel.world, memory_format=layout
            ):
                assert batch.target is not None, "what is judged on has labels"
                yield network(batch.images[0]), batch.target, batch.index
    finally:
        network.train(training)
