"""A linear probe: the first epochs train the classifier alone, on features that stand still."""

from torch import Tensor, nn

from decant.data import Images, plain_batches
from decant.engine.parallel import Parallel
from decant.models import classifier_of
from decant.recipe import Recipe


class Probe:
    """The part of a network that stands still while its classifier is trained.

    Args:
        network: what is trained.
        example: a batch of images.
        classes: of the classifier.

    Raises:
        ValueError: a network whose classifier is not found.
    """

    def __init__(self, network: nn.Module, example: Tensor, classes: int) -> None:
        path = classifier_of(network, example, classes)
        head = set(network.get_submodule(path).modules())
        # The network itself stays in training mode: it is trained, if only in part.
        self._modules = [module for module in network.modules() if module not in head and module is not network]
        learning = {id(parameter) for parameter in network.get_submodule(path).parameters()}
        self._parameters = [parameter for parameter in network.parameters() if id(parameter) not in learning]

    def freeze(self, still: bool) -> None:
        """Give the body's parameters no gradients, or give them back."""
        for parameter in self._parameters:
            parameter.requires_grad_(not still)

    def hold(self) -> None:
        """Keep statistics and dropout of the body as they are in evaluation; whoever calls ``train()`` undoes it."""
        for module in self._modules:
            module.training = False


def probe_of(
    recipe: Recipe, student: nn.Module, trained: nn.Module, images: Images, parallel: Parallel
) -> Probe | None:
    """The probe of a recipe, where it has one.

    Args:
        recipe: what is trained.
        student: as it was given to the method.
        trained: what the method made of it.
        images: the training set.
        parallel: device and processes.

    Raises:
        ValueError: a network whose classifier is not found, or a method that trains another network than the student;
            several processes, between which what learns must not change.
    """
    if recipe.train.probe_epochs == 0:
        return None
    if parallel.world > 1:
        raise ValueError("train.probe_epochs is for one process: what learns must not change between several")
    if trained is not student:
        raise ValueError(
            f"train.probe_epochs trains the student's own classifier first, but {recipe.method.name} puts parts of its "
            "own into the student and decides itself what learns: set train.probe_epochs = 0"
        )
    return Probe(student, next(plain_batches(images, 2)).images[0].to(parallel.device), len(images.classes))
