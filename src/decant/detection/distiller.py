"""Student, teacher and methods as one module: the step of training a detector that learns from another."""

import warnings
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from decant.detection.anatomy import anatomy, common_levels, sizes_remark
from decant.detection.class_map import ClassMap
from decant.detection.method import DetectionMethod, DetectionMethodSettings, Level
from decant.detection.methods import DETECTION_METHODS
from decant.detection.observe import (
    Step,
    observed,
    pyramid,
    region_logits,
    renormalised,
    require_detector,
    sampled_classes,
)
from decant.detection.with_teacher import WithTeacher
from decant.interfaces import Outputs
from decant.methods import weighted_total

_LATE = 1e6
"""An epoch after any warm-up."""


class DetectionLoss(NamedTuple):
    """What one step gives.

    Attributes:
        loss: what to call ``backward`` on.
        terms: the detector's own losses and the methods' raw, unweighted terms, by name, detached.
    """

    loss: Tensor
    terms: dict[str, Tensor]


class RCNNDistiller(WithTeacher):
    """A two-stage detector learning from a frozen one; ``forward`` returns the loss and its terms.

    The student trains as it always does, and its own losses are part of the total. The teacher looks at the regions
    that the student has sampled, with its own features of the same image; its region proposals are never made. Boxes
    are not distilled. With every weight 0 the training is that of the student alone, bit by bit.

    Give ``distiller.parameters()`` to the optimiser: they are the student's and those of the methods' own bridges. The
    teacher moves with ``.to(device)`` but is kept apart: in eval mode, without gradients, and in no state dict.

    Args:
        student: a torchvision ``GeneralizedRCNN`` (Faster R-CNN, Mask R-CNN, also with the heads of version 2).
        teacher: a trained one; None to train the student alone.
        methods: names of ``DETECTION_METHODS``, settings, or built methods; their terms add up.
        student_classes: class names from index 1 on, where the two detectors do not share all classes; with
            ``teacher_classes``.
        teacher_classes: the teacher's class names, such as torchvision's ``weights.meta["categories"]``.
        folded: a teacher's class name -> the student's that it counts as; by default that of its own name.

    Raises:
        TypeError: a student or teacher that is no two-stage detector, a method that is none of the three.
        ValueError: an unknown method, methods whose terms have equal names, methods without teacher, detectors of
            different numbers of classes without their names, pyramids without a common level where one is needed.

    Warns:
        UserWarning: the two were made for pictures of different sizes; the teacher does not know all classes.

    >>> from decant.detection import create_detector
    >>> student, teacher = (create_detector("fasterrcnn_tiny_fpn", num_classes=3) for _ in range(2))
    >>> distiller = RCNNDistiller(student, teacher, ["dkd"])
    >>> target = {"boxes": torch.tensor([[8.0, 8.0, 40.0, 40.0]]), "labels": torch.tensor([1])}
    >>> loss, terms = distiller([torch.rand(3, 64, 64)], [target])
    >>> sorted(terms)[-4:]
    ['nckd_background', 'nckd_foreground', 'tckd_background', 'tckd_foreground']
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module | None,
        methods: Sequence[str | DetectionMethodSettings | DetectionMethod] = ("dkd",),
        *,
        student_classes: Sequence[str] | None = None,
        teacher_classes: Sequence[str] | None = None,
        folded: Mapping[str, str] | None = None,
    ) -> None:
        require_detector(student, "student")
        chosen = [_settings(method) for method in methods]
        if teacher is None:
            if chosen:
                raise ValueError("methods learn from a teacher, but teacher is None; give one, or methods=()")
        else:
            require_detector(teacher, "teacher")
            if teacher is student:
                raise ValueError("student and teacher are the same module; the teacher must be a detector of its own")
        super().__init__(teacher)
        self.student = student
        self.class_map: ClassMap | None = None
        self.levels: tuple[Level, ...] = ()
        if teacher is not None:
            self._match(student_classes, teacher_classes, folded)
        self.methods = nn.ModuleList(
            method if isinstance(method, DetectionMethod) else method.build(self.levels) for method in chosen
        )
        names = [name for method in self._methods for name in method.weights(0.0)]
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"several of the methods have terms of the names {doubled}; use each method once")
        self._warms_up = self.weights(0.0) != self.weights(_LATE)

    def weights(self, epoch: float) -> dict[str, float]:
        """The weight of every term of the methods after ``epoch`` completed epochs; the detector's own have 1."""
        return {name: weight for method in self._methods for name, weight in method.weights(epoch).items()}

    def forward(
        self, images: Sequence[Tensor], targets: Sequence[Mapping[str, Tensor]], *, epoch: float | None = None
    ) -> DetectionLoss:
        """The loss of one batch.

        Args:
            images: one tensor (3, H, W) in 0..1 per picture.
            targets: per picture ``boxes`` (n, 4), x1 y1 x2 y2 in pixels, and ``labels`` (n,), int64, from 1 on; none at
                all where n is 0.
            epoch: epochs completed so far, fractional inside an epoch; drives warm-ups. Without one it is not needed.

        Raises:
            RuntimeError: the student is in eval mode, in which a detector has no losses.
            ValueError: no epoch where the weights depend on it.
        """
        if not self.student.training:
            raise RuntimeError("the student is in eval mode, as after an evaluation; call distiller.train()")
        if epoch is None:
            if self._warms_up:
                raise ValueError(
                    "the weights change with the epoch (a warm-up): give epoch=, the epochs completed so far, or "
                    "switch it off in the settings (warmup=0)"
                )
            epoch = 0.0
        with observed(self.student) as step:
            terms: dict[str, Tensor] = dict(self.student(list(images), [dict(target) for target in targets]))
        weights = dict.fromkeys(terms, 1.0)
        if self.methods:
            student, teacher, target = self._both(step)
            for method in self._methods:
                terms |= method(student, teacher, target)
            weights |= self.weights(epoch)
        return DetectionLoss(weighted_total(terms, weights), {name: term.detach() for name, term in terms.items()})

    @property
    def _methods(self) -> list[DetectionMethod]:
        return [method for method in self.methods if isinstance(method, DetectionMethod)]

    def _both(self, step: Step) -> tuple[Outputs, Outputs, Tensor]:
        """Student and teacher of a step as methods see them, and the classes that regions were sampled for."""
        if step.images is None or step.logits is None:
            raise RuntimeError(
                "the student ran without its region proposals or its box head; is it compiled or scripted?"
            )
        teacher = self._teacher_in_eval()
        target = sampled_classes(self.student, step)
        with torch.no_grad():
            levels = pyramid(teacher, renormalised(step.images, step.sizes, self.student.transform, teacher.transform))
            logits = step.logits.detach()
            if any(method.reads_logits for method in self._methods):
                logits = region_logits(teacher, levels, step)
        own = step.logits
        if self.class_map is not None:
            own, logits, target = self.class_map.paired(own, logits, target)
        ours = {level.tap: step.levels[level.student] for level in self.levels}
        theirs = {level.tap: levels[level.teacher] for level in self.levels}
        return Outputs(own, ours), Outputs(logits, theirs), target

    def _match(
        self,
        student_classes: Sequence[str] | None,
        teacher_classes: Sequence[str] | None,
        folded: Mapping[str, str] | None,
    ) -> None:
        """Find out what the two detectors have in common."""
        (teacher,) = self._teacher
        ours, theirs = anatomy(self.student), anatomy(teacher)
        if remark := sizes_remark(self.student, teacher):
            warnings.warn(remark, stacklevel=3)
        if student_classes is not None and teacher_classes is not None:
            made = ClassMap.by_name(student_classes, teacher_classes, folded)
            found, named = (ours.classes, theirs.classes), (made.classes, sum(map(len, made.sources)))
            if found != named:
                raise ValueError(f"student and teacher have {found} classes with the background, but {named} are named")
            if list(student_classes) != list(teacher_classes) or folded:
                self.class_map = made
            if made.unknown:
                names = [name for name in student_classes if name != "__background__"]
                unknown = ", ".join(names[index - 1] for index in made.unknown)
                warnings.warn(
                    f"the teacher does not know {len(made.unknown)} of the student's {made.classes - 1} classes "
                    f"({unknown}); regions of these are learned from their labels alone",
                    stacklevel=3,
                )
        elif student_classes is not None or teacher_classes is not None or folded is not None:
            raise ValueError("student_classes and teacher_classes are given together, and folded beside them")
        elif ours.classes != theirs.classes:
            raise ValueError(
                f"the student has {ours.classes} classes and the teacher {theirs.classes}, background included; give "
                "student_classes= and teacher_classes=, their names"
            )
        self.levels = common_levels(ours, theirs)


def _settings(method: str | DetectionMethodSettings | DetectionMethod) -> DetectionMethodSettings | DetectionMethod:
    if isinstance(method, str):
        if method not in DETECTION_METHODS:
            raise ValueError(f"there is no method {method!r} for detectors; there are: {', '.join(DETECTION_METHODS)}")
        return DETECTION_METHODS[method]()
    if isinstance(method, type) or not isinstance(method, DetectionMethodSettings | DetectionMethod):
        hint = "; call it to make one" if isinstance(method, type) else ""
        raise TypeError(f"a method is a name, settings or a built DetectionMethod, got {method!r}{hint}")
    return method
