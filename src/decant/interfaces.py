"""The shared vocabulary: what the data layer, networks, methods and the engine hand to each other.

Shape legend, used everywhere: N samples, C classes, H x W pixels. Nothing here computes; it only names.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

UNLABELLED = -100
"""Class index of a sample that carries no label; the one that torch's cross-entropy leaves out."""


@dataclass(frozen=True)
class Batch:
    """What one training step sees of the data.

    Attributes:
        images: one tensor (N, channels, H, W) per augmented view of the same samples.
        target: class indices (N,), ``UNLABELLED`` for a sample that carries no label; probabilities (N, C); or None
            where no sample carries one.
        index: position of each sample in its data set, (N,), int64.
        epoch: epochs completed when this batch is met; 0.0 at the first step, fractional inside an epoch.
        view_ids: number of each sample's view, one (N,) int64 tensor per tensor of ``images``; empty where views are
            not numbered.
        labelled: how many samples of a process carry a label, (), float, the mean over processes and never 0; None
            where ``target`` tells by itself.
    """

    images: tuple[Tensor, ...]
    target: Tensor | None
    index: Tensor
    epoch: float = 0.0
    view_ids: tuple[Tensor, ...] = ()
    labelled: Tensor | None = None


@dataclass(frozen=True)
class Outputs:
    """What a network says about a batch.

    Attributes:
        logits: (N, C).
        taps: tap name -> feature, only for the names that were asked for.
        more: outputs of further views, each from a forward pass of its own; empty for one view.
    """

    logits: Tensor
    taps: Mapping[str, Tensor] = field(default_factory=dict)
    more: "tuple[Outputs, ...]" = ()


@dataclass(frozen=True)
class TokenGrid:
    """How the tokens (N, prefix + height * width, D) of a feature lie in the image.

    Attributes:
        prefix: tokens before the grid, which have no place in the image: class token, registers.
        height: rows of the grid; its tokens come row by row.
        width: its columns.
    """

    prefix: int
    height: int
    width: int


@dataclass(frozen=True)
class Shapes:
    """Shapes of a network's outputs without the batch dimension, from one dry forward pass.

    Attributes:
        logits: (C,).
        taps: tap name -> shape of the feature.
        grids: tap name -> how its tokens lie, of those features (L, D) that are a grid of tokens.
        outputs: what the network said in that pass, in eval mode; None where there was none.
    """

    logits: tuple[int, ...]
    taps: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    grids: Mapping[str, TokenGrid] = field(default_factory=dict)
    outputs: Outputs | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class DataFacts:
    """What a method may know of the training set before training starts.

    Attributes:
        size: number of training samples.
        classes: class names, by class index.
        targets: class index of every sample, (size,), int64, on the CPU; ``UNLABELLED`` where it carries no label.
    """

    size: int
    classes: tuple[str, ...]
    targets: Tensor


@dataclass(frozen=True)
class BuildContext:
    """What a method is built from.

    Attributes:
        student: the student network; a method reads it and never changes it.
        teacher: the trained teacher in eval mode, BatchNorm not folded yet; None where no teacher takes part.
        student_shapes: shapes of the student's logits and of every tap it names; None when no example batch was given.
        teacher_shapes: the same of the teacher.
        student_taps: module path of every tap that the student names.
        teacher_taps: the same of the teacher.
        facts: facts about the training set; None outside the engine unless the caller gave them.
    """

    student: nn.Module
    teacher: nn.Module | None = None
    student_shapes: Shapes | None = None
    teacher_shapes: Shapes | None = None
    student_taps: Mapping[str, str] = field(default_factory=dict)
    teacher_taps: Mapping[str, str] = field(default_factory=dict)
    facts: DataFacts | None = None


class Processes(Protocol):
    """The processes that train one student, each with its part of every batch; gradients are averaged over them.

    What each works out from gathered rows is the same in all of them, the loss as well. Gradients are right for that.
    """

    @property
    def rank(self) -> int:
        """Number of this process, 0 to world - 1."""
        ...

    @property
    def world(self) -> int:
        """Number of processes."""
        ...

    def gather(self, rows: Tensor) -> Tensor:
        """The rows of all processes, in the order that one process would have them in: (N, ...) -> (world N, ...)."""
        ...

    def shared(self, values: Tensor) -> Tensor:
        """The values, equal in all processes, for use with what each has by itself: their gradients are summed."""
        ...

    def total(self, values: Tensor) -> Tensor:
        """The sum over processes of values of one shape, for use that is the same in all of them."""
        ...


class Method(nn.Module, ABC):
    """A way to distil: which tensors meet which equation, and with what weight.

    ``forward`` returns raw terms (scalars, in nats where the equation is a divergence); ``weights`` says how they add
    up now, so that a log can show each term by itself and a warm-up is data. Both always have the same names.
    Learnable bridges between the networks are parameters of the method and so reach the optimiser.
    """

    taps: tuple[str, ...] = ()
    """Names of the features it needs of both networks."""
    views: int = 1
    """Augmented views of each sample it wants per step."""
    strong_views: int = 0
    """How many of these, the last ones, shall be strong: changed in more than place."""
    gather: bool = False
    """Whether it must see the batch of all processes at once; it then gets that without the images."""
    needs_teacher: bool = True
    """Whether the teacher's forward pass is run; without it ``forward`` receives None for the teacher's outputs."""
    needs_index: bool = False
    """Whether it must know which samples of the training set a batch holds: a method with a memory of them."""
    one_class: bool = False
    """Whether it is about one class of each sample, and so has no use for labels that are probabilities."""
    task: str = "hard"
    """Name of the term that is the task's own loss."""

    @abstractmethod
    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        """The raw, unweighted terms of this batch, by name."""

    @abstractmethod
    def weights(self, epoch: float) -> dict[str, float]:
        """The weight of every term after ``epoch`` completed epochs."""

    def prepare(self, teacher_outputs: Iterator[tuple[Outputs, Batch]]) -> None:
        """Called once before the first step of a training, with a pass of the teacher over the whole training set.

        The pass has the logits and the features of ``taps`` for every sample, in order and without augmentation. The
        teacher is run only as far as the iterator is read, which most methods do not. A training that is taken up again
        is not prepared again: what is learned here belongs in buffers.
        """

    def divide(self, processes: Processes) -> None:
        """Called once, before the first step, of a method that sees the batch of several processes.

        Here what grows with the training set is divided among them. The state dict stays that of a single process: all
        processes ask for theirs at once.
        """

    def deployed(self, student: nn.Module) -> nn.Module:
        """The network that is trained, evaluated and saved as the student: itself unless a method says otherwise.

        Asked once, before the first step. It shares the student's layers, which it trains, and its learnable parts are
        part of it rather than of the method; the module at the path of a tap gives the feature of that name.
        """
        return student

    def deployed_parts(self) -> dict[str, Any]:
        """What ``deployed`` puts into the student, in plain values from which it can be put into a fresh one.

        A student's file carries them, so that it can be loaded without its teacher: ``decant.methods.with_parts``.
        """
        return {} if type(self).deployed is Method.deployed else {"of": type(self).__name__}


@runtime_checkable
class MethodSettings(Protocol):
    """A frozen dataclass that holds every setting of a method, each with its one default, and builds the method."""

    @property
    def name(self) -> str:
        """The method's name in recipes."""
        ...

    def build(self, context: BuildContext) -> Method:
        """The method for these two networks and this data."""
        ...
