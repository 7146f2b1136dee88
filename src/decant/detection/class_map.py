"""Bringing a teacher's classes to a student's, by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from decant.detection.method import IGNORED

_BACKGROUND = "__background__"
_GAP = "N/A"
"""What torchvision calls the numbers that COCO leaves out; no class."""


@dataclass(frozen=True)
class ClassMap:
    """How a teacher's logits become logits over the classes that student and teacher share.

    A class of the teacher's that the student does not have is background to the student. Where several classes of the
    teacher's are one of the student's, their probabilities add up: logsumexp of their logits. A class of the student's
    that the teacher does not know is left out of both softmaxes, and the regions that were sampled for it do not count.

    Attributes:
        sources: for every shared class, in the student's order and background first, the teacher's classes behind it.
        shared: the student's index of every shared class; background, 0, is always the first.
        classes: the student's number of classes, background included.
    """

    sources: tuple[tuple[int, ...], ...]
    shared: tuple[int, ...]
    classes: int

    @classmethod
    def by_name(
        cls, student: Sequence[str], teacher: Sequence[str], folded: Mapping[str, str] | None = None
    ) -> "ClassMap":
        """The map between classes of these names.

        Args:
            student: the student's classes from index 1 on; a first "__background__" is left out.
            teacher: the teacher's, likewise.
            folded: a teacher's class -> the student's class that it counts as; by default that of its own name.

        Raises:
            ValueError: a name twice, a name in ``folded`` that does not exist, no class in common.

        >>> ClassMap.by_name(["vehicle", "dog"], ["car", "bus", "cat"], {"car": "vehicle", "bus": "vehicle"})
        ClassMap(sources=((0, 3), (1, 2)), shared=(0, 1), classes=3)
        """
        ours, theirs = _foreground(student, "student"), _foreground(teacher, "teacher")
        names = {name: name for name in theirs if name in ours and name != _GAP} | dict(folded or {})
        for side, given, known in (("teacher", names.keys(), theirs), ("student", names.values(), ours)):
            if strangers := sorted(set(given) - set(known)):
                raise ValueError(f"folded classes name {strangers}, which the {side} does not have: {', '.join(known)}")
        if not names:
            raise ValueError(
                "student and teacher have no class in common: the student knows "
                f"{', '.join(ours[:5])}, the teacher {', '.join(theirs[:5])}; say which is which with folded="
            )
        behind: dict[int, list[int]] = {0: [0]}
        for index, name in enumerate(theirs, start=1):
            behind.setdefault(ours.index(names[name]) + 1 if name in names else 0, []).append(index)
        shared = tuple(sorted(behind))
        return cls(tuple(tuple(behind[index]) for index in shared), shared, len(ours) + 1)

    @property
    def unknown(self) -> tuple[int, ...]:
        """The student's classes that the teacher does not know."""
        return tuple(sorted(set(range(self.classes)) - set(self.shared)))

    def paired(self, student: Tensor, teacher: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Both networks' logits over the shared classes (R, S), and the target among these, -100 where it is not."""
        teacher = torch.stack(
            [
                teacher[:, list(classes)].logsumexp(1) if len(classes) > 1 else teacher[:, classes[0]]
                for classes in self.sources
            ],
            dim=1,
        )
        if not self.unknown:
            return student, teacher, target
        index = target.new_full((self.classes,), IGNORED)
        index[list(self.shared)] = torch.arange(len(self.shared), device=target.device)
        return student[:, list(self.shared)], teacher, index[target]


def _foreground(names: Sequence[str], role: str) -> list[str]:
    kept = list(names[1:] if names[:1] and names[0] == _BACKGROUND else names)
    real = [name for name in kept if name != _GAP]
    if doubled := sorted({name for name in real if real.count(name) > 1}):
        raise ValueError(f"the {role}'s classes have names of their own, but there are several {doubled}")
    return kept
