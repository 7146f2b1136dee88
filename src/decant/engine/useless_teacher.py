"""Refusing a teacher that is no better than chance, or than the student alone."""

import math

import torch
from torch import Tensor

from decant.engine.multilabel_score import score_multilabel
from decant.engine.teacher import Teacher

_DRAWS = 20


class UselessTeacherError(ValueError):
    """A teacher that has nothing to teach."""


def refuse_chance(teacher: Teacher, target: Tensor, metric: str) -> None:
    """Raise where the teacher is no better than somebody who does not look at the pictures.

    Args:
        teacher: as it was measured on the test pictures; nothing is refused where it was not.
        target: their classes (N,), or 0 and 1 for every class (N, C).
        metric: what it was measured by, in words.

    Raises:
        UselessTeacherError: with one class to a picture, no better than always naming the largest; with any number,
            than a random order of the pictures; each with two standard deviations of luck.
    """
    if target.ndim == 1:
        most = float(target.bincount().max()) / len(target)
        blind, luck = most, 2 * math.sqrt(most * (1 - most) / len(target))
        how = "always naming the largest class"
    else:
        generator = torch.Generator().manual_seed(0)
        drawn = [torch.rand(target.shape, generator=generator) for _ in range(_DRAWS)]
        scores = torch.tensor([score_multilabel(each, target).map / 100 for each in drawn])
        blind, luck = float(scores.mean()), 2 * float(scores.std())
        how = "a random order of the pictures"
    if teacher.score is not None and teacher.score <= 100 * (blind + luck):
        raise UselessTeacherError(
            f"the teacher has {metric} {teacher.score:.2f}% on the test pictures, and {how} has {100 * blind:.2f}% (up "
            f"to {100 * (blind + luck):.2f}% by luck): it has nothing to teach. Train it longer (--teacher-epochs), "
            "start it from weights (--pretrained), or go on with --anyway"
        )


def refuse_beaten(teacher: Teacher, alone: float, metric: str) -> None:
    """Raise where the teacher is no better than the student that learned alone.

    Args:
        teacher: as it was measured on the test pictures; nothing is refused where it was not.
        alone: the student's score there, in percent.
        metric: what both were measured by, in words.

    Raises:
        UselessTeacherError: its score is not above the student's.
    """
    if teacher.score is not None and teacher.score <= alone:
        raise UselessTeacherError(
            f"the teacher has {metric} {teacher.score:.2f}% on the test pictures, the student alone {alone:.2f}%: it "
            "is no better than whom it would teach. Take a larger one, train it longer (--teacher-epochs), start it "
            "from weights (--pretrained), or go on with --anyway"
        )
