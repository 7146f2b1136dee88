"""Experimental: DKD for one-stage detectors with sigmoid heads (torchvision's RetinaNet and FCOS).

Nobody has published this, and no result of ours rests on it; names and formulas may change. A sigmoid head has neither
a background class nor a distribution over classes, so "target" and "other classes" can be read in two ways, which are
both here to be compared.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from decant.detection.distiller import DetectionLoss
from decant.detection.method import IGNORED
from decant.detection.observe import renormalised
from decant.detection.with_teacher import WithTeacher
from decant.losses import bernoulli_dkd_terms, dkd_terms
from decant.methods import weighted_total
from decant.methods.checks import require_temperature, require_weights

_PARTS = ("transform", "backbone", "anchor_generator", "head")
_BETWEEN = -2
"""What RetinaNet's matcher says of a position that is neither an object's nor background's: it is not trained on."""


@dataclass(frozen=True)
class DenseDKDSettings:
    """Experimental settings: ``alpha`` of the target, ``beta`` of the other classes, and how a sigmoid head is read.

    ``form``: "background" is DKD on softmax(0, z), the classes behind a background of logit 0, which is a target like
    any other. "bernoulli" is T^2 KL of each class's sigmoid by itself: that of an object's own class is the target's
    term, the sum of all others is the other one, and background has no target.
    """

    alpha: float = 1.0
    beta: float = 0.25
    temperature: float = 1.0
    form: Literal["background", "bernoulli"] = "background"

    def __post_init__(self) -> None:
        """Refuse values that no training can use."""
        require_weights(alpha=self.alpha, beta=self.beta)
        require_temperature(self.temperature)
        if self.form not in ("background", "bernoulli"):
            raise ValueError(f"form must be 'background' or 'bernoulli', got {self.form!r}")


class DenseDistiller(WithTeacher):
    """Experimental: a RetinaNet or FCOS learning from a frozen one; ``forward`` returns the loss and its terms.

    As :class:`decant.detection.RCNNDistiller` does, it reads the student's own step from hooks that live only as long
    as the step. Both heads score all positions; a term is the sum over positions, divided by the number of those that
    were matched to an object (at least 1), as the detectors' own losses are. Positions between the two thresholds of
    RetinaNet do not count.

    Args:
        student: a torchvision RetinaNet or FCOS.
        teacher: a trained one with the same positions (strides and anchors) and classes.
        settings: weights, temperature and form.

    Raises:
        TypeError: a student or teacher that is no one-stage detector.

    >>> from torchvision.models.detection import fcos_resnet50_fpn
    >>> made = [fcos_resnet50_fpn(weights=None, weights_backbone=None, num_classes=3, min_size=64) for _ in range(2)]
    >>> distiller = DenseDistiller(*made)
    >>> target = {"boxes": torch.tensor([[8.0, 8.0, 40.0, 40.0]]), "labels": torch.tensor([1])}
    >>> sorted(distiller([torch.rand(3, 64, 64)], [target]).terms)[-2:]
    ['dense_others', 'dense_target']
    """

    def __init__(self, student: nn.Module, teacher: nn.Module, settings: DenseDKDSettings | None = None) -> None:
        _require_dense(student, "student")
        _require_dense(teacher, "teacher")
        if teacher is student:
            raise ValueError("student and teacher are the same module; the teacher must be a detector of its own")
        super().__init__(teacher)
        self.student, self.settings = student, settings or DenseDKDSettings()

    def forward(self, images: Sequence[Tensor], targets: Sequence[Mapping[str, Tensor]]) -> DetectionLoss:
        """The loss of one batch; ``images`` and ``targets`` as for the detector itself.

        Raises:
            RuntimeError: the student is in eval mode, in which a detector has no losses.
            ValueError: the teacher has other positions or classes.
        """
        if not self.student.training:
            raise RuntimeError("the student is in eval mode, as after an evaluation; call distiller.train()")
        with _observed(self.student) as step:
            terms: dict[str, Tensor] = dict(self.student(list(images), [dict(target) for target in targets]))
        weights = dict.fromkeys(terms, 1.0)
        teacher = self._teacher_in_eval()
        with torch.no_grad():
            target = _matched_classes(self.student, step)
            batch = step.images
            seen = renormalised(batch.tensors, batch.image_sizes, self.student.transform, teacher.transform)
            logits = teacher.head(_levels(teacher, seen))["cls_logits"]
        own = step.outputs["cls_logits"]
        if own.shape != logits.shape:
            raise ValueError(
                f"student and teacher must have the same positions and classes (images, positions, classes): "
                f"{tuple(own.shape)} and {tuple(logits.shape)}"
            )
        settings = self.settings
        terms |= dense_terms(own.flatten(0, 1), logits.flatten(0, 1), target, settings.temperature, settings.form)
        weights |= {"dense_target": settings.alpha, "dense_others": settings.beta}
        return DetectionLoss(weighted_total(terms, weights), {name: term.detach() for name, term in terms.items()})


def dense_terms(
    student: Tensor,
    teacher: Tensor,
    target: Tensor,
    temperature: float = 1.0,
    form: Literal["background", "bernoulli"] = "background",
) -> dict[str, Tensor]:
    """Experimental: the terms ``dense_target`` and ``dense_others`` of P positions, in nats, over max(1, objects).

    With u, v the logits of student and teacher over T, a class's KL is s(v) log(s(v)/s(u)) + s(-v) log(s(-v)/s(-u)),
    s the sigmoid. For a single class the sums of the two forms agree: a sigmoid is the softmax of (0, z). What a
    background position adds is the target's share in one and the others' in the other.

    Args:
        student: logits (P, K).
        teacher: logits (P, K); no gradient goes to them.
        target: class of each position (P,), -1 for background, -100 where it does not count.
        temperature: T.
        form: see :class:`DenseDKDSettings`.

    >>> student, teacher = torch.tensor([[1.0, -2.0]]), torch.tensor([[2.0, -1.0]])
    >>> terms = dense_terms(student, teacher, torch.tensor([0]), form="bernoulli")
    >>> [round(float(terms[name]), 4) for name in ("dense_target", "dense_others")]
    [0.0671, 0.0826]
    """
    objects = (target >= 0).sum().clamp(min=1)
    counted, teacher = target != IGNORED, teacher.detach()
    if form == "background":
        ours, theirs = (torch.cat([torch.zeros_like(logits[:, :1]), logits], dim=1) for logits in (student, teacher))
        place = torch.where(counted, target + 1, IGNORED)
        terms = dkd_terms(ours, theirs, place, temperature=temperature, reduction="none", ignore_index=IGNORED)
        return {"dense_target": terms.tckd.sum() / objects, "dense_others": terms.nckd.sum() / objects}
    at_target = torch.arange(student.shape[1], device=target.device) == target[:, None]
    parts = bernoulli_dkd_terms(student, teacher, at_target.float(), temperature=temperature, reduction="none")
    own, others = (torch.where(counted[:, None], part, 0.0).sum() / objects for part in parts)
    return {"dense_target": own, "dense_others": others}


@dataclass
class _DenseStep:
    """What a one-stage detector did in one training step."""

    images: Any = None
    truth: list[dict[str, Tensor]] = field(default_factory=list)
    levels: list[Tensor] = field(default_factory=list)
    anchors: list[Tensor] = field(default_factory=list)
    outputs: dict[str, Tensor] = field(default_factory=dict)


def _require_dense(detector: nn.Module, role: str) -> None:
    missing = [part for part in _PARTS if not isinstance(getattr(detector, part, None), nn.Module)]
    if missing or not hasattr(detector, "compute_loss"):
        raise TypeError(
            f"{role} must be torchvision's RetinaNet or FCOS; {type(detector).__name__} has no "
            f"{', '.join(missing) or 'compute_loss'}. For two-stage detectors there is RCNNDistiller"
        )


@contextmanager
def _observed(detector: Any) -> Iterator[_DenseStep]:
    """Inside, the detector's next forward pass fills the step; afterwards nothing is left on the detector."""
    step = _DenseStep()

    def transformed(module: nn.Module, arguments: tuple[Any, ...], outputs: tuple[Any, Any]) -> None:
        step.images, step.truth = outputs[0], list(outputs[1] or ())

    def placed(module: nn.Module, arguments: tuple[Any, ...], outputs: list[Tensor]) -> None:
        step.anchors = outputs

    def scored(module: nn.Module, arguments: tuple[Any, ...], outputs: dict[str, Tensor]) -> None:
        step.levels, step.outputs = list(arguments[0]), outputs

    handles = [
        detector.transform.register_forward_hook(transformed),
        detector.anchor_generator.register_forward_hook(placed),
        detector.head.register_forward_hook(scored),
    ]
    try:
        yield step
    finally:
        for handle in handles:
            handle.remove()


class _Matching:
    """Stands in for a detector and its head while the detector's own code matches positions, and keeps the matches."""

    def __init__(self, detector: Any) -> None:
        self._detector, self.head = detector, self
        self.matches: list[Tensor] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._detector, name)

    def compute_loss(self, targets: Any, outputs: Any, anchors: Any, matches: list[Tensor]) -> dict[str, Tensor]:
        self.matches = matches
        return {}


def _matched_classes(detector: Any, step: _DenseStep) -> Tensor:
    """The class that each position was matched to (P,), image after image; -1 background, -100 where none counts."""
    matching = _Matching(detector)
    arguments: list[Any] = [step.truth, step.outputs, step.anchors]
    if hasattr(detector, "center_sampling_radius"):  # FCOS matches by the level of a position too
        arguments.append([level.shape[2] * level.shape[3] for level in step.levels])
    type(detector).compute_loss(matching, *arguments)
    classes = []
    for truth, match in zip(step.truth, matching.matches, strict=True):
        found = torch.full_like(match, -1)
        found[match >= 0] = truth["labels"][match[match >= 0]]
        found[match == _BETWEEN] = IGNORED
        classes.append(found)
    return torch.cat(classes)


def _levels(detector: Any, images: Tensor) -> list[Tensor]:
    levels = detector.backbone(images)
    return [levels] if isinstance(levels, Tensor) else list(levels.values())
