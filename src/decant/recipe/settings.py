"""The recipe: everything that decides a result, and nothing that depends on the machine."""

import math
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar, Literal

from torch import nn

from decant.data import DataSettings, Interpolation
from decant.interfaces import MethodSettings
from decant.methods import ComposedSettings, SupervisedSettings
from decant.models import Option, build_network, require_known_network
from decant.recipe.by_name import MethodByName
from decant.recipe.comparison import CompareSettings, method_settings
from decant.recipe.multilabel import refuse_task
from decant.recipe.own_networks import OfAFileToo
from decant.recipe.training import MultiStep, TrainSettings

MAX_SEED = 2**63 - 1


@dataclass(frozen=True)
class NetworkSettings:
    """A network by its name, and what it starts from.

    Attributes:
        name: as :func:`decant.models.build_network` knows it: `resnet20`, `torchvision/NAME`, `timm/NAME`, `hf/NAME`;
            or `my_file.py:make`, a function in a file of the user's.
        pretrained: whether it starts from its library's weights, which are downloaded where they are not there.
        weights: a file of weights to start from; in a file, a path relative to that file. With either of the two, a
            classifier over another number of classes is a fresh one.
        taps: feature name -> module path, all that methods can read; none for those that the network names itself.
        options: further arguments of the library's builder, such as ``img_size``.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    name: str
    taps: dict[str, str] = field(default_factory=dict)
    pretrained: bool = False
    weights: str | None = None
    options: dict[str, Option] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a misspelt name now: a student is built only after its teacher was trained."""
        self.require_known()
        if self.pretrained and self.weights is not None:
            raise ValueError("a network starts from pretrained weights or from a file, not from both")

    def require_known(self) -> None:
        """Raise ValueError unless there is a network of that name."""
        require_known_network(self.name, self.options)

    def build(self, *, classes: int | None, channels: int, pretrained: bool = False) -> nn.Module:
        """The network, as :func:`decant.models.build_network` makes it; not yet with the weights of a file."""
        return build_network(self.name, classes=classes, channels=channels, pretrained=pretrained, options=self.options)


@dataclass(frozen=True)
class SightSettings:
    """What a teacher was trained to see, where that is not what its student sees.

    Attributes:
        size: height and width in pixels; none for the student's.
        mean: of red, green and blue (or of grey), of pixels scaled to 0..1; none for the student's.
        std: likewise.
        interpolation: how views are resized to ``size``.
        channels: "bgr" for a teacher whose channels are in the other order.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    size: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    interpolation: Interpolation = "bilinear"
    channels: Literal["rgb", "bgr"] = "rgb"

    def __post_init__(self) -> None:
        """Refuse what no image has."""
        if self.size is not None and self.size < 1:
            raise ValueError(f"size is at least 1 pixel, got {self.size}")
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std are given together, or neither")
        if self.std is not None and not all(value > 0 for value in self.std):
            raise ValueError(f"std is above 0, got {list(self.std)}")


@dataclass(frozen=True)
class TeacherSettings:
    """Where the teacher comes from: a recipe that trains it, or a network with trained weights.

    Attributes:
        recipe: how to train it; in a file, a path relative to that file. It is trained once, kept, and found again.
        name: the network's name, where it does not come from a recipe.
        weights: file of trained weights (.safetensors, or .pth in the reference zoo's key layout).
        taps: feature name -> module path, as for the student.
        pretrained: the weights of the network's library instead, downloaded where they are not there.
        options: further arguments of the library's builder.
        sees: what it was trained to see; none for what its recipe or library says, or else what the student sees.
        classes: names of its classes in its order; none for what its file or library says, or else the data's.
        rename: its name of a class -> the data's, where they differ; several may become one.
        share: how much it counts where there are several.
        also: further teachers; the student learns from the mean of their probabilities.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    recipe: "Recipe | None" = None
    name: str | None = None
    weights: str | None = None
    taps: dict[str, str] = field(default_factory=dict)
    pretrained: bool = False
    options: dict[str, Option] = field(default_factory=dict)
    sees: SightSettings | None = None
    classes: tuple[str, ...] | None = None
    rename: dict[str, str] = field(default_factory=dict)
    share: float = 1.0
    also: "tuple[Annotated[TeacherSettings, OfAFileToo()], ...]" = ()

    def __post_init__(self) -> None:
        """Refuse anything but one whole source."""
        by_recipe, weights = self.recipe is not None, (self.weights is not None) + self.pretrained
        if by_recipe == (self.name is not None and weights == 1) or (by_recipe and (self.name or weights)):
            raise ValueError(
                "a teacher is given by `recipe`, or by `name` and `weights` together (or `pretrained`); "
                f"got recipe {'given' if by_recipe else 'missing'}, name {self.name!r}, weights {self.weights!r}; "
                'to put a file in the place of a recipe: --set \'teacher={name="...", weights="..."}\''
            )
        if self.name is not None:
            self.require_known()
        if not (math.isfinite(self.share) and self.share > 0):
            raise ValueError(f"share is a finite number above 0, got {self.share}")
        if any(other.also for other in self.also):
            raise ValueError("further teachers stand side by side in `also`, not below each other")

    def require_known(self) -> None:
        """Raise ValueError unless there is a network of that name."""
        require_known_network(self.network, self.options)

    def build(self, *, classes: int | None, channels: int, pretrained: bool = False) -> nn.Module:
        """The network, as :func:`decant.models.build_network` makes it; not yet with the weights of a file."""
        return build_network(
            self.network, classes=classes, channels=channels, pretrained=pretrained, options=self.options
        )

    @property
    def network(self) -> str:
        """The network's name."""
        return self.recipe.student.name if self.recipe is not None else str(self.name)

    @property
    def sources(self) -> "tuple[TeacherSettings, ...]":
        """All teachers, each by itself."""
        return replace(self, also=()), *self.also


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a result.

    Attributes:
        student: the network that is trained.
        data: the data set, its views and its splits.
        teacher: where the teacher comes from; none for supervised training.
        method: the settings of the method that trains the student.
        train: the training loop.
        seed: decides initialisation and order, and the views too unless ``data.view_seed`` is given.
        compare: what `decant compare` runs.
        judged_on: the images on which every epoch is evaluated; "validation" is for choosing settings.
        task: what is learned: one class of each sample, or with "multilabel" any number of them.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    student: Annotated[NetworkSettings, OfAFileToo()]
    data: DataSettings
    teacher: Annotated[TeacherSettings, OfAFileToo()] | None = None
    method: MethodByName = field(default_factory=SupervisedSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    seed: int = 0
    compare: CompareSettings = field(default_factory=CompareSettings)
    judged_on: Literal["test", "validation"] = "test"
    task: Literal["classification", "multilabel"] = "classification"

    @property
    def metric(self) -> str:
        """What a score is told by: "top1", or "map" (mean average precision) of several classes, in percent."""
        return "top1" if self.task == "classification" else "map"

    @property
    def metric_name(self) -> str:
        """The same in words."""
        return "top-1" if self.task == "classification" else "mean average precision"

    @property
    def trained(self) -> "Recipe":
        """The same without what it compares and when it is kept: equal ones train the same student."""
        return replace(self, compare=CompareSettings(), train=replace(self.train, checkpoint_steps=None))

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is allowed, but probably not meant."""
        remarks = []
        epochs, schedule = self.train.epochs, self.train.schedule
        methods: dict[str, MethodSettings] = {"method": self.method}
        if isinstance(self.method, ComposedSettings):
            methods = {f"method.{position}": part for position, part in enumerate(self.method.parts)}
        for key, method in methods.items():
            warmup = getattr(method, "warmup", 0)
            if warmup > epochs:
                remarks.append(
                    f"{key}.warmup {warmup} is longer than the {epochs} epochs: its weights are never reached"
                )
        remarks += [
            "the teacher is trained on labels that are hidden from its student (data.hidden_labels "
            f"{self.data.hidden_labels}, in the teacher's recipe {source.recipe.data.hidden_labels})"
            for source in (self.teacher.sources if self.teacher is not None else ())
            if source.recipe is not None and source.recipe.data.hidden_labels < self.data.hidden_labels
        ]
        if isinstance(schedule, MultiStep) and all(milestone >= epochs for milestone in schedule.milestones):
            remarks.append(
                f"no milestone of train.schedule ({', '.join(map(str, schedule.milestones))}) lies within the {epochs} "
                "epochs: the learning rate stays as it is; set milestones, or another schedule (cosine, onecycle)"
            )
        return tuple(remarks)

    def __post_init__(self) -> None:
        """Refuse what would not be an honest measurement."""
        if not 0 <= self.seed <= MAX_SEED:
            raise ValueError(f"seed must be from 0 to {MAX_SEED}, got {self.seed}")
        if self.data.all_strong and self.train.teacher_cache != "none":
            raise ValueError(
                "data.all_strong shows the teacher views of which an image has too many to keep the answers in a "
                'table: train.teacher_cache = "none" is for it'
            )
        refuse_task(self)
        if self.train.mixes_labels:
            self._refuse_mixed_labels()
        if self.data.validation == 0 and (self.judged_on == "validation" or self.compare.tune):
            what = 'judged_on = "validation"' if self.judged_on == "validation" else "compare.tune"
            raise ValueError(
                f"{what} needs images that nothing is trained on: set data.validation above 0, such as 0.1"
            )
        if self.data.name == "pictures" and self.train.teacher_cache == "views":
            raise ValueError(
                'train.teacher_cache = "views" keeps logits by view, but random windows of pictures are never met '
                'twice; leave it at "none"'
            )
        if self.data.name == "pictures" and self.data.pictures.sizes and (self.train.compile or self.data.all_strong):
            raise ValueError(
                "data.pictures.sizes changes the images' size, which train.compile and data.all_strong are made for: "
                "leave out the one or the other"
            )
        for name, optimizer in self.compare.optimizers.items():
            method_settings(name, self.method, self.compare)
            replace(self.train, optimizer=optimizer)  # refuses what does not go with the momentum
        for source in self.teacher.sources if self.teacher is not None else ():
            if source.recipe is not None:
                self._refuse_leaks(source.recipe.data)

    def _refuse_mixed_labels(self) -> None:
        names = [name for name in ("mixup", "cutmix", "label_smoothing") if getattr(self.train, name)]
        told = " and ".join(f"train.{name}" for name in names)
        if self.train.teacher_cache == "views" and names != ["label_smoothing"]:
            raise ValueError(
                f"{told}: mixed images are never met twice, so a table of what the teacher says to views is of no use; "
                'leave train.teacher_cache at "none"'
            )
        if self.data.unlabelled or self.data.hidden_labels:
            raise ValueError(
                f"{told} mixes labels, which samples without one (data.unlabelled, data.hidden_labels) do not have; "
                "leave out one of the two"
            )

    def _refuse_leaks(self, teacher: DataSettings) -> None:
        """Refuse a teacher of other data, or one that is trained on what the student is judged on."""
        if teacher.name != self.data.name:
            raise ValueError(f"the teacher is trained on {teacher.name!r}, the student on {self.data.name!r}")
        ours, theirs = (self.data.validation, self.data.split_seed), (teacher.validation, teacher.split_seed)
        if self.data.validation and ours != theirs:
            raise ValueError(
                "the student's validation images would be among the teacher's training images: give the teacher's "
                f"recipe the same data.validation and data.split_seed {ours}; it has {theirs}"
            )
        if self.data.name == "pictures" and self.data.pictures.test != teacher.pictures.test:
            raise ValueError(
                "the student's test pictures would be among the teacher's training pictures: give the teacher's recipe "
                f"the same data.pictures.test {self.data.pictures.test}; it has {teacher.pictures.test}"
            )
