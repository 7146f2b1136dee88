"""Students' files that took no training."""

import json
from dataclasses import replace
from pathlib import Path

import torch

from decant import LoadedStudent, load_student
from decant.data import Images
from decant.engine.checkpoint import save_weights
from decant.engine.student_file import about_student
from decant.models import Option, build_network
from decant.recipe import NetworkSettings
from engine.tiny import recipe, splits


def student_file(
    path: Path,
    name: str = "digits_student",
    options: dict[str, Option] | None = None,
    images: Images | None = None,
    **about: str,
) -> Path:
    """A file as a run leaves it, of a network with random weights, over the classes of ``images``."""
    images = images or splits().train
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = build_network(name, classes=len(images.classes), channels=images.shape[1], options=options)
        for module in network.modules():  # statistics as after training, and logits that differ
            if isinstance(module, torch.nn.BatchNorm2d) and module.running_mean is not None:
                torch.nn.init.normal_(module.running_mean, std=0.1)
            # The classifier alone: a transformer whose every layer is that wild is ill-conditioned in float32.
            if isinstance(module, torch.nn.Linear) and module.out_features == len(images.classes):
                torch.nn.init.normal_(module.weight, std=0.3)
    run = replace(recipe(), student=NetworkSettings(name, options=options or {}))
    told = about_student(run, network, {}, images) | about
    save_weights(path, network.state_dict(), {"decant": json.dumps(told)})
    return path


def random_student(path: Path, name: str = "digits_student", **options: Option) -> LoadedStudent:
    """The same, loaded."""
    return load_student(student_file(path, name, options))
