"""What a method is built from, and the network that comes of it."""

from collections.abc import Mapping

from torch import nn

from decant.data import Images, plain_batches
from decant.engine.shapes import dry_shapes, taps_of
from decant.interfaces import BuildContext
from decant.models import Tapped, load_all_but_head
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


def started_network(settings: NetworkSettings, images: Images) -> nn.Module:
    """The network that is trained, with what it starts from: fresh weights, its library's, or those of a file."""
    classes, channels = len(images.classes), images.shape[1]
    network = settings.build(classes=classes, channels=channels, pretrained=settings.pretrained)
    if settings.weights is not None:
        load_all_but_head(network, settings.weights)
    return network
