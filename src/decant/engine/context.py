"""What a method is built from, and the network that comes of it."""

from collections.abc import Mapping

import torch
from torch import nn

from decant.data import Images, plain_batches
from decant.engine.shapes import dry_shapes, taps_of
from decant.engine.unlike import alike
from decant.interfaces import BuildContext
from decant.models import Option, Tapped, build_network, load_all_but_head
from decant.recipe import NetworkSettings, Recipe

Taps = tuple[Mapping[str, str], Mapping[str, str]]
"""Feature name -> module path, of the student and of the teacher."""


def named_taps(recipe: Recipe, student: nn.Module, teacher: nn.Module | None) -> Taps:
    """What the recipe says for each network, else what the network itself says.

    Raises:
        ValueError: a path that the network does not have.
    """
    theirs = recipe.teacher.taps if recipe.teacher is not None else {}
    return _named("student", student, recipe.student.taps), _named("teacher", teacher, theirs)


def _named(role: str, network: nn.Module | None, named: Mapping[str, str]) -> Mapping[str, str]:
    if network is None or not named:
        return taps_of(network)
    try:
        return Tapped(network, named).taps
    except ValueError as error:
        raise ValueError(f"{role}.taps: {error}") from None


def build_context(student: nn.Module, teacher: nn.Module | None, images: Images, taps: Taps) -> BuildContext:
    """What a method may know of these networks, of their features and of the training set."""
    example = next(plain_batches(images, 2)).images[0].cpu()
    return BuildContext(
        student=student,
        teacher=teacher,
        student_shapes=dry_shapes(student, example, taps[0]),
        teacher_shapes=dry_shapes(teacher, example, taps[1]) if teacher is not None else None,
        student_taps=taps[0],
        teacher_taps=taps[1],
        facts=images.facts(),
    )


def fresh_network(
    name: str, images: Images, *, classes: int | None = None, options: Mapping[str, Option] | None = None
) -> nn.Module:
    """A network for these images and their classes (or so many others), with fresh weights."""
    return build_network(name, classes=classes or len(images.classes), channels=images.shape[1], options=options)


def started_network(settings: NetworkSettings, images: Images) -> nn.Module:
    """The network that is trained, with what it starts from: fresh weights, its library's or those of a file."""
    if settings.pretrained:
        classes, channels = len(images.classes), images.shape[1]
        return build_network(
            settings.name, classes=classes, channels=channels, pretrained=True, options=settings.options
        )
    network = fresh_network(settings.name, images, options=settings.options)
    if settings.weights is not None:
        load_all_but_head(network, settings.weights)
    return network


def fresh_student(recipe: Recipe, images: Images) -> nn.Module:
    """The network that a recipe leaves behind, with fresh weights: what its file of weights fits.

    Some methods put parts of their own into it, and ask their teacher for the shapes. Nobody's random state is touched.
    """
    with torch.random.fork_rng(devices=[]):
        student = fresh_network(recipe.student.name, images, options=recipe.student.options)
        if (settings := recipe.teacher) is None:
            return student
        teacher = (
            fresh_network(settings.network, images, options=settings.options)
            if settings.recipe is None
            else fresh_student(settings.recipe, images)
        )
        teacher = alike(teacher, settings, images, images.classes).network
        context = build_context(student, teacher.eval(), images, named_taps(recipe, student, teacher))
        return recipe.method.build(context).deployed(student)
