"""Networks, data facts and contexts that methods of the tests are built from."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from decant.engine.shapes import dry_shapes, taps_of
from decant.interfaces import Batch, BuildContext, DataFacts, MethodSettings, Outputs
from decant.methods import METHODS, CRDSettings
from decant.models import create

CLASSES = 6
LOGIT_TERMS: dict[str, set[str]] = {
    "dist": {"inter", "intra"},
    "nkd": {"target", "others"},
    "luminet": {"luminet"},
    "ttm": {"ttm"},
    "rld": {"confidence", "correlation"},
    "gdkd": {"buckets", "top", "rest"},
}
"""What methods on logits add to the task term, but for kd and dkd."""
TWO_VIEW_TERMS: dict[str, set[str]] = {
    "mlkd": {"weak", "strong", "classes", "samples"},
    "crld": {"within", "across"},
}
"""What methods on the logits of a weak and a strong view add to the task term."""
_APART = ("supervised", "kd", "dkd", "nckd", "ctkd", "sdd", "simkd", *LOGIT_TERMS, *TWO_VIEW_TERMS)
FEATURE_METHODS = [name for name in METHODS if name not in _APART]


def settings_of(name: str, **values: float) -> MethodSettings:
    """A method's settings; with few negatives, the data being small."""
    settings = METHODS[name](**values)
    return replace(settings, negatives=64, dimension=16) if isinstance(settings, CRDSettings) else settings


def said(outputs: Outputs, target: Tensor) -> Iterator[tuple[Outputs, Batch]]:
    """One batch as a pass of the teacher over the training set, for methods that ask for one."""
    yield outputs, Batch((torch.zeros(len(target), 1),), target, torch.arange(len(target)))


def facts(size: int = 48) -> DataFacts:
    return DataFacts(size, tuple("abcdef"), torch.arange(size) % CLASSES)


def context(student: nn.Module, teacher: nn.Module | None, images: Tensor) -> BuildContext:
    """All that a method can be built from."""
    return BuildContext(
        student,
        teacher,
        dry_shapes(student, images, taps_of(student)),
        dry_shapes(teacher, images, taps_of(teacher)) if teacher is not None else None,
        student_taps=taps_of(student),
        teacher_taps=taps_of(teacher),
        facts=facts(),
    )


def digits_context() -> BuildContext:
    """Of the two smallest networks."""
    student, teacher = (create(name, num_classes=CLASSES) for name in ("digits_student", "digits_teacher"))
    return context(student, teacher, torch.zeros(2, 1, 8, 8))
