"""How a network is trained: the settings of the loop, and the learning-rate schedules."""

import math
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field


@dataclass(frozen=True)
class MultiStep:
    """The learning rate is multiplied by ``factor`` after each of the ``milestones`` (in completed epochs).

    Before that it rises linearly from 0 over ``warmup`` epochs.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    name: Literal["multistep"] = "multistep"
    milestones: tuple[int, ...] = (150, 180, 210)
    factor: float = 0.1
    warmup: float = 0.0

    def __post_init__(self) -> None:
        """Refuse milestones that do not rise, and a factor that would end or turn the training."""
        if list(self.milestones) != sorted(set(self.milestones)) or any(epoch < 1 for epoch in self.milestones):
            raise ValueError(f"milestones are rising epochs of at least 1, got {list(self.milestones)}")
        if not (math.isfinite(self.factor) and self.factor > 0):
            raise ValueError(f"factor must be a finite number above 0, got {self.factor}")
        if not (math.isfinite(self.warmup) and self.warmup >= 0):
            raise ValueError(f"warmup is a number of epochs of at least 0, got {self.warmup}")


@dataclass(frozen=True)
class Cosine:
    """Linear warm-up from 0 over ``warmup`` epochs, then half a cosine down to ``final`` times the learning rate."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    name: Literal["cosine"] = "cosine"
    warmup: float = 0.0
    final: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a warm-up before the start, and an end above the height."""
        if not (math.isfinite(self.warmup) and self.warmup >= 0):
            raise ValueError(f"warmup is a number of epochs of at least 0, got {self.warmup}")
        if not 0 <= self.final <= 1:
            raise ValueError(f"final is in [0, 1], got {self.final}")


@dataclass(frozen=True)
class OneCycle:
    """Linear rise from ``start`` times the learning rate over a share ``rise`` of all steps, then linear fall to 0."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    name: Literal["onecycle"] = "onecycle"
    rise: float = 0.1
    start: float = 0.04

    def __post_init__(self) -> None:
        """Refuse shares outside 0 to 1."""
        if not (0 <= self.rise < 1 and 0 <= self.start <= 1):
            raise ValueError(f"rise is in [0, 1) and start in [0, 1], got rise={self.rise}, start={self.start}")


Schedule = MultiStep | Cosine | OneCycle


@dataclass(frozen=True)
class SGDSettings:
    """Plain SGD with momentum."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    name: Literal["sgd"] = "sgd"


@dataclass(frozen=True)
class DOTSettings:
    """Distillation-oriented training (arXiv:2307.08436): ``delta`` less momentum for the task, more for the rest."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    name: Literal["dot"] = "dot"
    delta: float = 0.075

    def equal_weights(self, momentum: float) -> tuple[float, float]:
        """What SGD multiplies the weights of task and rest by so that each gradient counts as much in the end.

        Summed over all steps to come, a gradient moves its parameter by the learning rate / (1 - momentum). So the
        factors are (1 - mu)/(1 - mu + d) and (1 - mu)/(1 - mu - d): the control that a claim about DOT needs.

        >>> [round(factor, 4) for factor in DOTSettings(delta=0.075).equal_weights(0.9)]
        [0.5714, 4.0]
        """
        return (1 - momentum) / (1 - momentum + self.delta), (1 - momentum) / (1 - momentum - self.delta)


OptimizerSettings = Annotated[SGDSettings | DOTSettings, Field(discriminator="name")]


@dataclass(frozen=True)
class TrainSettings:
    """Settings of the training loop; the defaults are the CIFAR-100 protocol's (SGD, 240 epochs, batch 64)."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    epochs: int = 240
    batch_size: int = 64
    """Samples per forward pass, over all processes."""
    accumulate: int = 1
    """Batches whose gradients are averaged into one optimiser step; a shorter tail of an epoch makes a step too.
    Each batch has its own loss: where few samples carry a label, that averages over those of one batch at a time."""
    learning_rate: float = 0.05
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 5e-4
    optimizer: OptimizerSettings = field(default_factory=SGDSettings)
    schedule: Annotated[Schedule, Field(discriminator="name")] = field(default_factory=MultiStep)
    probe_epochs: int = 0
    """So many of the epochs, the first ones, train the classifier alone; the schedule begins after them."""
    probe_learning_rate: float = 0.1
    """Learning rate of those."""
    mixup: float = 0.0
    """a of the Beta(a, a) that says how two images and their labels are blended (arXiv:1710.09412); 0 for none."""
    cutmix: float = 0.0
    """The same for a rectangle of another image (arXiv:1905.04899); with both, each sample gets one of them."""
    label_smoothing: float = 0.0
    """Share of every label that is spread over all classes (arXiv:1512.00567)."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Type of the networks' arithmetic (autocast); losses are worked in float32 in any case."""
    channels_last: bool = True
    """Memory layout of images and convolutions: the same numbers up to rounding, faster."""
    sync_batchnorm: bool = False
    """Statistics of BatchNorm over the batch of all processes, not of each; needs CUDA where there are several."""
    compile: bool = False
    """Compile student, teacher and loss: the same numbers up to rounding, faster after minutes of compiling."""
    teacher_cache: Literal["none", "views"] = "none"
    """Where the teacher's logits come from: "none" runs it in every step, "views" once for every view of an image."""
    teacher_cache_type: Literal["fp16", "fp32"] = "fp16"
    """Type in which the logits of "views" are kept, on which every one of them is rounded."""
    teacher_cache_top: int | None = None
    """How many of a view's logits "views" keeps, the target's and the largest others; all if left out."""
    teacher_cache_temperature: float = 4.0
    """Temperature at which those keep their probabilities exactly: the method's; the rest share theirs evenly."""
    ema: float | None = None
    """Decay per step of an exponential moving average of the student, which is then what is evaluated and saved."""
    weights_type: Literal["fp32", "fp16"] = "fp32"
    """Type in which the trained weights are kept. "fp16" halves the file; the weights are rounded before the last
    evaluation, so that what is judged is what is kept, and what a teacher trained so teaches with."""
    evaluate_every: int = 1
    """Epochs between evaluations; the last epoch is always evaluated."""
    checkpoint_every: int = 1
    """Epochs between resume points; the last epoch is always saved."""
    checkpoint_steps: int | None = None
    """Batches between resume points inside an epoch, for long ones; none if left out. It changes no result."""
    on_nonfinite: Literal["stop", "skip"] = "stop"
    """What a NaN or infinite loss does: "stop" ends the run, "skip" leaves out the optimiser step, at the price of a
    wait for the device in every step."""

    @property
    def mixes_labels(self) -> bool:
        """Whether labels are probabilities rather than classes."""
        return bool(self.mixup or self.cutmix or self.label_smoothing)

    def __post_init__(self) -> None:
        """Refuse values that no training can use, all at once."""
        faults = [
            f"{name} must be at least 1, got {getattr(self, name)}"
            for name in ("epochs", "batch_size", "accumulate", "evaluate_every", "checkpoint_every")
            if getattr(self, name) < 1
        ]
        if self.checkpoint_steps is not None and self.checkpoint_steps < 1:
            faults.append(f"checkpoint_steps is at least 1, or left out, got {self.checkpoint_steps}")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            faults.append(f"learning_rate must be a finite number above 0, got {self.learning_rate}")
        if not (math.isfinite(self.probe_learning_rate) and self.probe_learning_rate > 0):
            faults.append(f"probe_learning_rate must be a finite number above 0, got {self.probe_learning_rate}")
        if not 0 <= self.probe_epochs <= self.epochs:
            faults.append(f"probe_epochs must be 0 to {self.epochs}, the epochs, got {self.probe_epochs}")
        if not 0 <= self.momentum < 1:
            faults.append(f"momentum must be in [0, 1), got {self.momentum}")
        if self.nesterov and self.momentum == 0:
            faults.append("nesterov needs a momentum above 0")
        if isinstance(self.optimizer, DOTSettings) and self.probe_epochs:
            faults.append("probe_epochs go with optimizer sgd: dot needs gradients of all parameters from the start")
        if isinstance(self.optimizer, DOTSettings):
            delta = self.optimizer.delta
            if not 0 <= delta <= self.momentum < 1 - delta:
                faults.append(
                    "optimizer.delta must be from 0 to momentum, and momentum + delta below 1, "
                    f"got delta {delta} and momentum {self.momentum}"
                )
            if self.nesterov:
                faults.append("nesterov is for sgd: dot is not defined with it")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            faults.append(f"weight_decay must be a finite number of at least 0, got {self.weight_decay}")
        faults += [
            f"{name} is a number from 0 to 100, got {getattr(self, name)}"
            for name in ("mixup", "cutmix")
            if not 0 <= getattr(self, name) <= 100
        ]
        if not 0 <= self.label_smoothing < 1:
            faults.append(f"label_smoothing is a share from 0 to below 1, got {self.label_smoothing}")
        if self.ema is not None and not 0 < self.ema < 1:
            faults.append(f"ema is a decay between 0 and 1, or left out, got {self.ema}")
        if self.teacher_cache_top is not None and self.teacher_cache_top < 1:
            faults.append(f"teacher_cache_top is at least 1, or left out, got {self.teacher_cache_top}")
        if not (math.isfinite(self.teacher_cache_temperature) and self.teacher_cache_temperature > 0):
            faults.append(f"teacher_cache_temperature must be positive, got {self.teacher_cache_temperature}")
        if faults:
            raise ValueError("; ".join(faults))
