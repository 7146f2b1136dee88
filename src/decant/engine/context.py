"""What a method is built from, and the network that comes of it."""

import torch
from torch import nn

from decant.data import Images, plain_batches
from decant.engine.shapes import dry_shapes, taps_of
from decant.interfaces import BuildContext
from decant.models import create
from decant.recipe import Recipe


def build_context(student: nn.Module, teacher: nn.Module | None, images: Images) -> BuildContext:
    """What a method may know of these networks and of the training set."""
    example = next(plain_batches(images, 2)).images[0].cpu()
    return BuildContext(
        student=student,
        teacher=teacher,
        student_shapes=dry_shapes(student, example, taps_of(student)),
        teacher_shapes=dry_shapes(teacher, example, taps_of(teacher)) if teacher is not None else None,
        student_taps=taps_of(student),
        teacher_taps=taps_of(teacher),
        facts=images.facts(),
    )


def fresh_network(name: str, images: Images) -> nn.Module:
    """A network of the zoo for these images and their classes, with fresh weights."""
    return create(name, num_classes=len(images.classes), in_channels=images.shape[1])


def fresh_student(recipe: Recipe, images: Images) -> nn.Module:
    """The network that a recipe leaves behind, with fresh weights: what its file of weights fits.

    Some methods put parts of their own into it, and ask their teacher for the shapes. Nobody's random state is touched.
    """
    with torch.random.fork_rng(devices=[]):
        student = fresh_network(recipe.student.name, images)
        if (settings := recipe.teacher) is None:
            return student
        teacher = (
            fresh_network(settings.network, images)
            if settings.recipe is None
            else fresh_student(settings.recipe, images)
        )
        return recipe.method.build(build_context(student, teacher.eval(), images)).deployed(student)
