"""Student, teacher and method as one module: the step of the engine, and of anybody's own loop."""

import copy
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from decant.engine.distilled import Distilled, DistilledApart
from decant.engine.gathered import counted_batch, gathered_batch, gathered_outputs
from decant.engine.shapes import dry_shapes, taps_of
from decant.interfaces import Batch, BuildContext, DataFacts, Method, MethodSettings, Outputs, Processes
from decant.methods import METHODS, MULTILABEL_METHODS, ComposedSettings, divided_total, weighted_total
from decant.models import Tapped

_LATE = 1e6
"""An epoch after any warm-up."""


class Distiller(nn.Module):
    """A student learning from a frozen teacher by a method; ``forward`` returns the loss and its terms.

    Give ``distiller.parameters()`` to the optimiser: they are the student's and those of the method's own adapters. The
    teacher moves with ``.to(device)`` but is kept apart: in eval mode, without gradients, and in no state dict.

    Args:
        student: any module from images to logits (N, C).
        teacher: the trained network, logits (N, C) over the same classes; None for ``supervised``.
        method: a name of ``METHODS`` or ``MULTILABEL_METHODS`` of ``decant.methods`` (its defaults), its settings, a
            list of these, whose methods are composed, or a built method.
        student_taps: tap name -> module path, for methods that need features; by default the network's own ``taps``.
        teacher_taps: the same of the teacher.
        example: a batch of images, for methods whose learnable parts must know shapes.
        facts: facts about the training set, for methods that ask for them.

    Raises:
        ValueError: an unknown method, or a method that needs a teacher without one.
        TypeError: a method that is none of these, such as settings that were not called.

    >>> from decant.methods import DKDSettings
    >>> student, teacher = nn.Linear(8, 4), nn.Linear(8, 4)
    >>> distiller = Distiller(student, teacher, DKDSettings(beta=2.0, warmup=0))
    >>> loss, terms, logits = distiller(torch.randn(2, 8), torch.tensor([1, 3]))
    >>> sorted(terms), logits.shape
    (['hard', 'nckd', 'tckd'], torch.Size([2, 4]))
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module | None,
        method: str | MethodSettings | Sequence[str | MethodSettings] | Method,
        *,
        student_taps: Mapping[str, str] | None = None,
        teacher_taps: Mapping[str, str] | None = None,
        example: Tensor | None = None,
        facts: DataFacts | None = None,
    ) -> None:
        super().__init__()
        for role, network in (("student", student), ("teacher", teacher)):
            if not isinstance(network, nn.Module) and not (network is None and role == "teacher"):
                raise TypeError(
                    f"{role} must be a torch module, got {type(network).__name__}; see decant.models.create"
                )
        if teacher is not None:
            if teacher is student:
                raise ValueError("student and teacher are the same module; the teacher must be a network of its own")
            teacher.eval().requires_grad_(False)
        names = (
            taps_of(student) if student_taps is None else student_taps,
            taps_of(teacher) if teacher_taps is None else teacher_taps,
        )
        if not isinstance(method, Method):
            context = BuildContext(
                student=student,
                teacher=teacher,
                student_shapes=dry_shapes(student, example, names[0]) if example is not None else None,
                teacher_shapes=dry_shapes(teacher, example, names[1])
                if example is not None and teacher is not None
                else None,
                student_taps=names[0],
                teacher_taps=names[1],
                facts=facts,
            )
            method = _settings(method).build(context)
        if method.needs_teacher and teacher is None:
            raise ValueError(f"{type(method).__name__} learns from a teacher, but teacher is None")
        self.method = method
        self._compiled_with: dict[str, Any] | None = None
        self._told = False
        self._processes: Processes | None = None
        self._counting: Processes | None = None
        self._warms_up = method.weights(0.0) != method.weights(_LATE)
        self._student = Tapped(method.deployed(student), _chosen(method, names[0], "student"))
        # In a tuple, so that torch does not take it for a part of this module: not trained, not saved.
        self._teacher: tuple[Tapped, ...] = ()
        if teacher is not None and method.needs_teacher:
            self._teacher = (Tapped(teacher, _chosen(method, names[1], "teacher")),)

    @property
    def student(self) -> nn.Module:
        """The network that is trained: as it was given, unless the method puts parts of its own into it."""
        return self._student.network

    @property
    def teacher(self) -> nn.Module | None:
        """The frozen network, as it was given; None where the method needs none."""
        return self._teacher[0].network if self._teacher else None

    def deployed(self) -> nn.Module:
        """The network to save and use after training: the one that is trained."""
        return self.student

    def across(self, processes: Processes, *, partly_labelled: bool = False) -> None:
        """Let a method that compares samples see the batch of all processes; others see their own part.

        To be called before the first step, and before the module is wrapped in DistributedDataParallel, which then
        leaves the method's buffers alone: they come to the same in every process. Batches must be of one size in all.

        Args:
            processes: :class:`decant.engine.AllProcesses`.
            partly_labelled: whether some samples carry no label. Processes then tell each other in every step how many
                do, so that the task's own loss is the average over the labelled samples of all.
        """
        if self.method.gather and processes.world > 1:
            self._processes = processes
            self.method.divide(processes)
            self._ddp_params_and_buffers_to_ignore = [f"method.{name}" for name, _ in self.method.named_buffers()]
        elif partly_labelled and processes.world > 1:
            self._counting = processes

    def prepare(self, batches: Iterable[tuple[Tensor, Tensor | None]]) -> None:
        """Show the method what the teacher says to the whole training set, once before the first step of a training.

        Only some methods ask for it (their page says so); others leave ``batches`` unread.

        Args:
            batches: images (N, ...) with class indices (N,), every training sample once and without augmentation, on
                the teacher's device.
        """
        self.method.prepare(self._teacher_outputs(batches))

    def _teacher_outputs(self, batches: Iterable[tuple[Tensor, Tensor | None]]) -> Iterator[tuple[Outputs, Batch]]:
        if not self._teacher:
            raise ValueError(f"{type(self.method).__name__} asked what the teacher says, but it learns from none")
        seen = 0
        for images, target in batches:
            index = torch.arange(seen, seen + len(images), device=images.device)
            with torch.no_grad():
                outputs = _all_views(self._ready_teacher(), (images,))
            yield outputs, Batch((images,), target, index)
            seen += len(images)

    def copy(self) -> Self:
        """A copy with weights of its own that shares the teacher, compiled if this one is."""
        made = copy.deepcopy(self, {id(self._teacher): self._teacher})
        if self._compiled_with is not None:
            made.compile(**self._compiled_with)
        return made

    def compile(self, **how: Any) -> None:
        """Compile student, teacher and method, each by itself; ``how`` goes to ``torch.compile``.

        Only what this module runs is compiled: the networks given to it stay as they are, also for evaluation, and so
        do the keys of all state dicts. How the terms add up stays outside, because it may change with every step.
        ``disable=True`` undoes it.
        """
        self._compiled_with = how
        for part in (self._student, *self._teacher, self.method):
            part.compile(**how)

    def forward(
        self,
        images: Tensor | tuple[Tensor, ...],
        target: Tensor | None = None,
        *,
        index: Tensor | None = None,
        epoch: float | None = None,
        teacher_outputs: Outputs | None = None,
        apart: bool = False,
    ) -> Distilled | DistilledApart:
        """The loss of one batch.

        Args:
            images: (N, ...), or one such tensor per view where the method asks for several views.
            target: class indices (N,), -100 for a sample without a label; probabilities (N, C); or None where
                the method can do without.
            index: position of each sample in the data set (N,); methods with a memory need it.
            epoch: epochs completed so far, fractional inside an epoch; drives warm-ups. A method without one does not
                need it.
            teacher_outputs: what the teacher says about these images, worked out before; the teacher is then not run.
            apart: give the loss in two, the task's own term and all others.

        Raises:
            TypeError: images that are neither a tensor nor a tuple of tensors.
            ValueError: another number of views than the method wants; no epoch where the weights depend on it;
                teacher's outputs that are of other samples or lack what the method learns from; a loss that cannot be
                given in two.
        """
        views = images if isinstance(images, tuple) else (images,)
        if not all(isinstance(view, Tensor) for view in views):
            raise TypeError(f"images must be a tensor, or a tuple of one tensor per view, got {type(images).__name__}")
        if len(views) != self.method.views:
            raise ValueError(self._views_wanted(len(views)))
        if epoch is None:
            if self._warms_up:
                raise ValueError(
                    f"the weights of {type(self.method).__name__} change with the epoch (a warm-up): give epoch=, the "
                    "epochs completed so far, or switch it off in the settings (warmup=0)"
                )
            epoch = 0.0
        elif not epoch >= 0:
            raise ValueError(f"epoch counts completed epochs, at least 0, got {epoch}")
        if self.training and torch.is_grad_enabled() and not self.student.training and not self._told:
            self._told = True
            warnings.warn(
                "the student is in eval mode while it is trained (BatchNorm and dropout too), as after an evaluation; "
                "call distiller.train()",
                stacklevel=2,
            )
        if index is None:
            if self.method.needs_index:
                raise ValueError(
                    f"{type(self.method).__name__} remembers samples: give index=, the position of each one in the "
                    "training set (N,)"
                )
            index = torch.arange(len(views[0]), device=views[0].device)
        if teacher_outputs is not None:
            self._refuse_unfit(teacher_outputs, views)
        student = _all_views(self._student, views)
        teacher = teacher_outputs
        if self._teacher and teacher is None:
            with torch.no_grad():
                teacher = _all_views(self._ready_teacher(), views)
        batch = Batch(images=views, target=target, index=index, epoch=epoch)
        terms = self.method(*self._seen(student, teacher, batch))
        weights, raw = self.method.weights(epoch), {name: term.detach() for name, term in terms.items()}
        if apart:
            return DistilledApart(*divided_total(terms, weights, self.method.task), raw, student.logits)
        return Distilled(weighted_total(terms, weights), raw, student.logits)

    def _seen(self, student: Outputs, teacher: Outputs | None, batch: Batch) -> tuple[Outputs, Any, Batch]:
        """What the method sees: the batch as it is, or that of all processes."""
        if (among := self._processes) is None:
            return student, teacher, batch if self._counting is None else counted_batch(batch, self._counting)
        taught = gathered_outputs(teacher, among) if teacher is not None else None
        return gathered_outputs(student, among), taught, gathered_batch(batch, among)

    def _ready_teacher(self) -> Tapped:
        (teacher,) = self._teacher
        if teacher.network.training:  # somebody who holds the teacher as well may have switched it
            teacher.network.eval()
        return teacher

    def _views_wanted(self, got: int) -> str:
        method, strong = self.method, self.method.strong_views
        wanted = f"{type(method).__name__} wants {method.views} views per sample, got {got}"
        if method.views == 1:
            return f"{wanted}; give one tensor of images (N, ...)"
        kinds = f", the last {strong} of them strongly augmented" if strong else ""
        return f"{wanted}; give images=(first, second, ...), a tensor (N, ...) of the same samples for each{kinds}"

    def _refuse_unfit(self, outputs: Outputs, views: tuple[Tensor, ...]) -> None:
        name, given = type(self.method).__name__, (outputs, *outputs.more)
        if not self.method.needs_teacher:
            raise ValueError(f"{name} learns from no teacher, but teacher_outputs were given")
        if missing := [tap for tap in self.method.taps if any(tap not in each.taps for each in given)]:
            raise ValueError(f"{name} learns from the teacher's features {missing}, which teacher_outputs lack")
        rows, expected = [len(each.logits) for each in given], [len(view) for view in views]
        if rows != expected:
            raise ValueError(f"teacher_outputs have {rows} rows, one number per view; the images have {expected}")

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # `.to()`, `.cuda()`, `.double()` end here: the teacher follows although it is not a submodule.
        moves: list[Callable[..., object]] = [super()._apply, *(teacher._apply for teacher in self._teacher)]
        for move in moves:
            move(fn, recurse)
        return self


def _settings(method: str | MethodSettings | Sequence[str | MethodSettings]) -> MethodSettings:
    if isinstance(method, str):
        if (settings := (METHODS | MULTILABEL_METHODS).get(method)) is None:
            told = f"{', '.join(METHODS)}; for yes/no outputs {', '.join(MULTILABEL_METHODS)}"
            raise ValueError(f"there is no method {method!r}; there are: {told}")
        return settings()
    if isinstance(method, list | tuple):
        return ComposedSettings(tuple(_settings(part) for part in method))
    if isinstance(method, type) or not isinstance(method, MethodSettings):
        hint = "; call it to make one" if isinstance(method, type) else ""
        raise TypeError(f"method is a name, settings, a list of these or a built Method, got {method!r}{hint}")
    return method


def _chosen(method: Method, taps: Mapping[str, str], role: str) -> dict[str, str]:
    missing = [name for name in method.taps if name not in taps]
    if missing:
        raise ValueError(
            f"{type(method).__name__} needs the {role}'s features {missing}, but the {role} names "
            f"{sorted(taps) or 'none'}; give {role}_taps={{name: module path}}, or in a recipe {role}.taps"
        )
    return {name: taps[name] for name in method.taps}


def _all_views(network: nn.Module, views: tuple[Tensor, ...]) -> Outputs:
    first, *more = [network(view) for view in views]
    return Outputs(first.logits, first.taps, tuple(more)) if more else first
