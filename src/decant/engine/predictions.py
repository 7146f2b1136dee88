"""What a trained network says of every image of a set."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from decant.data import Images, plain_batches
from decant.engine.checkpoint import STUDENT_FILE
from decant.engine.shapes import taps_of
from decant.engine.teacher import trained_student
from decant.evidence.calibration import Reliability, reliability
from decant.models import Tapped
from decant.recipe import load_recipe

_BATCH = 250


@dataclass(frozen=True)
class Predictions:
    """What a network says of N images, in their order, on the CPU.

    Attributes:
        logits: (N, C), float32.
        target: class index of each, (N,), int64.
        feature: what a tap said, one row each, (N, D); None where none was asked for.
    """

    logits: Tensor
    target: Tensor
    feature: Tensor | None = None

    def sureness(self, temperature: float) -> Tensor:
        """p_t of every image: the probability of its own class at this temperature, (N,), float64."""
        probabilities = (self.logits.double() / temperature).softmax(1)
        return probabilities.gather(1, self.target[:, None]).squeeze(1)

    def calibration(self) -> Reliability:
        """Whether confidence, the largest probability, says how often the network is right."""
        confidence, choice = self.logits.double().softmax(1).max(1)
        return reliability(confidence.numpy(), (choice == self.target).numpy())


def predict(network: nn.Module, images: Images, device: torch.device | str, *, tap: str | None = None) -> Predictions:
    """The network's logits for every image as it is, in eval mode; its training mode is given back afterwards.

    Args:
        network: images to logits.
        images: what it is asked about.
        device: where it runs; it stays there.
        tap: a feature to keep beside the logits, by the name that the network gives it, such as "pooled".

    Raises:
        ValueError: the network names no such tap.
    """
    taps = taps_of(network)
    if tap is not None and tap not in taps:
        raise ValueError(f"{type(network).__name__} has no tap {tap!r}; it has: {', '.join(taps) or 'none'}")
    tapped = Tapped(network.to(device), {tap: taps[tap]} if tap is not None else {})
    training = network.training
    network.eval()
    logits, features, targets = [], [], []
    try:
        with torch.no_grad():
            for batch in plain_batches(images, _BATCH):
                outputs = tapped(batch.images[0].to(device))
                logits.append(outputs.logits.float().cpu())
                targets.append(torch.as_tensor(batch.target).cpu())
                if tap is not None:
                    features.append(outputs.taps[tap].flatten(1).float().cpu())
    finally:
        network.train(training)
    return Predictions(torch.cat(logits), torch.cat(targets), torch.cat(features) if features else None)


def student_of(run: Path, images: Images, *, trust_code: bool = False) -> nn.Module:
    """The trained student of a finished run, on the CPU, in eval mode and frozen; ``images`` are of its data set.

    ``trust_code`` says whether the Python files that its recipe takes methods from may be run.

    Raises:
        FileNotFoundError: the folder holds no run, or no weights.
    """
    weights = run / STUDENT_FILE
    if not weights.is_file():
        raise FileNotFoundError(f"there is no {weights}: the run is not finished, or its weights were moved")
    recipe = load_recipe(run / "recipe.json", trust_code=trust_code)
    return trained_student(recipe, weights, images).eval().requires_grad_(False)
