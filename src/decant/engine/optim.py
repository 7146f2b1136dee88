"""Optimiser, learning rate and moving average of a run."""

import math
from typing import Any, Generic, TypeVar

import torch
from torch import nn

from decant.engine.dot import DOT
from decant.engine.sgd import MomentumSGD
from decant.recipe import Cosine, DOTSettings, MultiStep, Schedule, TrainSettings

AnyModule = TypeVar("AnyModule", bound=nn.Module)


def make_optimizer(module: nn.Module, settings: TrainSettings, *, fused: bool = True) -> torch.optim.Optimizer:
    """SGD or DOT over all parameters that learn, weight decay on all of them, as in the CIFAR-100 protocol.

    Fused or not is the same up to rounding; parameters that are divided among processes cannot be fused.
    """
    learning = [parameter for parameter in module.parameters() if parameter.requires_grad]
    common = {"lr": settings.learning_rate, "momentum": settings.momentum, "weight_decay": settings.weight_decay}
    if isinstance(settings.optimizer, DOTSettings):
        return DOT(learning, delta=settings.optimizer.delta, **common)
    return MomentumSGD(learning, nesterov=settings.nesterov, fused=fused, **common)


def learning_rate_factor(schedule: Schedule, epoch: float, epochs: int) -> float:
    """What the learning rate is multiplied by after ``epoch`` of ``epochs``; without state, so that resuming is exact.

    >>> learning_rate_factor(MultiStep(milestones=(150, 180, 210), factor=0.1), 150.0, 240)
    0.1
    >>> learning_rate_factor(Cosine(), 50.0, 100)
    0.5
    """
    if isinstance(schedule, MultiStep):
        # The small step keeps an epoch that floating point puts just below the milestone on the right side of it.
        risen = min(epoch / schedule.warmup, 1.0) if schedule.warmup else 1.0
        return risen * float(schedule.factor ** sum(epoch + 1e-9 >= milestone for milestone in schedule.milestones))
    if isinstance(schedule, Cosine):
        if epoch < schedule.warmup:
            return epoch / schedule.warmup
        progress = (epoch - schedule.warmup) / max(epochs - schedule.warmup, 1e-9)
        return schedule.final + (1 - schedule.final) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
    progress = min(epoch / epochs, 1.0)
    if progress < schedule.rise:
        return schedule.start + (1 - schedule.start) * progress / schedule.rise
    return (1 - progress) / (1 - schedule.rise)


def learning_rate_at(settings: TrainSettings, epoch: float) -> float:
    """The learning rate after ``epoch`` completed epochs; the schedule begins after the probe.

    >>> settings = TrainSettings(epochs=12, learning_rate=0.02, probe_epochs=2, schedule=Cosine())
    >>> [learning_rate_at(settings, epoch) for epoch in (0, 2, 7)]
    [0.1, 0.02, 0.01]
    """
    if epoch < settings.probe_epochs:
        return settings.probe_learning_rate
    left = settings.epochs - settings.probe_epochs
    return settings.learning_rate * learning_rate_factor(settings.schedule, epoch - settings.probe_epochs, left)


class MovingAverage(Generic[AnyModule]):
    """Exponential moving average of a module: its parameters averaged, its buffers those of the last step.

    average <- decay * average + (1 - decay) * parameter, with the decay rising as (1 + n) / (10 + n) over the first
    steps n, so that the start does not linger.

    Args:
        average: a copy of the module, which becomes the average.
        decay: per optimiser step.
    """

    def __init__(self, average: AnyModule, decay: float) -> None:
        average.requires_grad_(False)
        self.module = average
        self.decay = decay
        self.steps = 0

    @torch.no_grad()
    def update(self, module: AnyModule) -> None:
        """Take in the module after an optimiser step."""
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        self.steps += 1
        torch._foreach_lerp_(list(self.module.parameters()), list(module.parameters()), 1 - decay)
        for average, value in zip(self.module.buffers(), module.buffers(), strict=True):
            average.copy_(value)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {"steps": self.steps, "module": self.module.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up where ``state_dict`` left off."""
        self.steps = state["steps"]
        self.module.load_state_dict(state["module"])
