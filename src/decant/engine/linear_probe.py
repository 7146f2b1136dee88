"""What a frozen network's features are worth elsewhere: a linear classifier trained on them alone."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from decant.engine.fit import fit_epoch
from decant.engine.optim import make_optimizer
from decant.engine.parallel import Parallel
from decant.engine.predictions import Predictions
from decant.interfaces import Batch
from decant.recipe import MultiStep, TrainSettings

PROTOCOL = TrainSettings(
    epochs=40,
    batch_size=128,
    learning_rate=0.1,
    weight_decay=0.0,
    schedule=MultiStep(milestones=(20, 30), factor=0.1),
)
"""SGD with momentum 0.9 on cross-entropy, without weight decay."""


@dataclass(frozen=True)
class _ProbeStep:
    classifier: nn.Linear

    def __call__(self, batch: Batch) -> tuple[tuple[Tensor, ...], Mapping[str, Tensor]]:
        assert batch.target is not None, "a probe has labels"
        loss = F.cross_entropy(self.classifier(batch.images[0]), batch.target)
        return (loss,), {"hard": loss}


def linear_probe(
    train: Predictions, test: Predictions, *, seed: int, parallel: Parallel, settings: TrainSettings = PROTOCOL
) -> float:
    """Top-1 in percent on ``test`` of a linear classifier that was trained on the features of ``train``.

    The features are those of the images as they are, from the network in eval mode: its BatchNorms keep the statistics
    of its own training, and nothing in it learns. Each feature is brought to mean 0 and standard deviation 1 over
    ``train``, which a linear classifier could do by itself; it starts at zero, and ``seed`` decides the order alone.

    Raises:
        ValueError: predictions without features, or of different sizes.
    """
    if train.feature is None or test.feature is None or train.feature.shape[1] != test.feature.shape[1]:
        raise ValueError("a probe needs features of one size for training and for testing: predict(..., tap=...)")
    mean, std = train.feature.mean(0), train.feature.std(0)
    std = torch.where(std > 0, std, torch.ones_like(std))
    device = parallel.device
    seen, judged = (((part - mean) / std).to(device) for part in (train.feature, test.feature))
    target = train.target.to(device)
    with torch.random.fork_rng(devices=[]):  # the weights that it would start with are not drawn for anybody
        classifier = nn.Linear(seen.shape[1], int(train.target.max()) + 1).to(device)
    nn.init.zeros_(classifier.weight)
    nn.init.zeros_(classifier.bias)
    optimizer = make_optimizer(classifier, settings)
    steps = -(-len(seen) // settings.batch_size)
    generator = torch.Generator().manual_seed(seed)

    def batches(epoch: int) -> Iterator[Batch]:
        order = torch.randperm(len(seen), generator=generator)
        for step, index in enumerate(order.split(settings.batch_size)):
            chosen = index.to(device)
            yield Batch((seen[chosen],), target[chosen], chosen, epoch + step / steps)

    for epoch in range(settings.epochs):
        fit_epoch(
            epoch,
            step=_ProbeStep(classifier),
            batches=batches(epoch),
            steps=steps,
            module=classifier,
            optimizer=optimizer,
            settings=settings,
            parallel=parallel,
        )
    with torch.no_grad():
        choice = classifier(judged).argmax(1).cpu()
    return float(100 * (choice == test.target).double().mean())
