"""The recipe of a detector: everything that decides a result, and nothing that depends on the machine."""

from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from decant.detection.builders import require_detector_name
from decant.detection.comparison import DetectionCompareSettings, MethodByName
from decant.detection.data_settings import DetectionDataSettings
from decant.recipe import MultiStep, Schedule, TrainSettings
from decant.recipe.settings import MAX_SEED


@dataclass(frozen=True)
class DetectorSettings:
    """A detector by its name, and the sizes to which it brings pictures.

    Attributes:
        name: one of ``decant.detection.DETECTORS``.
        trained_backbone: name of torchvision's weights for the backbone, such as "IMAGENET1K_V1"; none to start anew.
        min_size: length of a picture's shorter side; one of several is drawn for each picture in training, and the last
            one is used in evaluation. None for the detector's own: 800, tiny ones 64.
        max_size: greatest length of its longer side; None for the detector's own: 1333, tiny ones 128.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    name: str
    trained_backbone: str | None = None
    min_size: tuple[int, ...] | None = None
    max_size: int | None = None

    def __post_init__(self) -> None:
        """Refuse a misspelt name now: a student is built only after its teacher was trained."""
        require_detector_name(self.name)
        if self.min_size is not None and (not self.min_size or min(self.min_size) < 1):
            raise ValueError(f"min_size lists at least one length of at least 1, got {list(self.min_size)}")
        if self.max_size is not None and self.max_size < max(self.min_size or (1,)):
            raise ValueError(f"max_size {self.max_size} is smaller than min_size {list(self.min_size or ())}")

    @property
    def sizes(self) -> dict[str, Any]:
        """What the builder is told of the sizes."""
        given = {"min_size": self.min_size, "max_size": self.max_size}
        return {key: value for key, value in given.items() if value is not None}


@dataclass(frozen=True)
class DetectionTeacherSettings:
    """Where the teacher comes from: a recipe that trains it, a file of weights, or torchvision.

    Attributes:
        recipe: how to train it; in a file, a path relative to that file. It is trained once, kept, and found again.
        detector: which detector it is, where ``weights`` is given.
        weights: file of trained weights (.safetensors or .pth).
        torchvision: name of one of torchvision's detectors with its weights for MS-COCO, such as
            "fasterrcnn_resnet50_fpn_v2".
        classes: its class names from label 1 on; needed where neither its file nor its recipe knows them.
        folded: one of its class names -> the student's that it counts as; by default the one of the same name.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    recipe: "DetectionRecipe | None" = None
    detector: DetectorSettings | None = None
    weights: str | None = None
    torchvision: str | None = None
    classes: tuple[str, ...] | None = None
    folded: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse anything but one whole source."""
        by_file = self.detector is not None and self.weights is not None
        part_of_file = (self.detector is None) != (self.weights is None)
        if part_of_file or [self.recipe is not None, by_file, self.torchvision is not None].count(True) != 1:
            raise ValueError(
                "a teacher is given by `recipe`, or by `detector` and `weights` together, or by `torchvision`; got "
                f"recipe {'given' if self.recipe else 'missing'}, detector {'given' if self.detector else 'missing'}, "
                f"weights {self.weights!r}, torchvision {self.torchvision!r}"
            )

    @property
    def name(self) -> str:
        """The detector's name."""
        if self.recipe is not None:
            return self.recipe.student.name
        return self.detector.name if self.detector is not None else f"torchvision {self.torchvision}"


@dataclass(frozen=True)
class DetectionTrainSettings:
    """Settings of the training loop; the defaults are the paper's for MS-COCO (180,000 steps of 8 pictures)."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    epochs: int = 180
    epoch_steps: int | None = 1000
    """Steps that make an epoch, whatever the number of pictures; none for as many as show every picture once."""
    batch_size: int = 8
    """Pictures per step, over all processes."""
    accumulate: int = 1
    """Batches whose gradients are averaged into one optimiser step."""
    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 1e-4
    schedule: Annotated[Schedule, Field(discriminator="name")] = field(
        default_factory=lambda: MultiStep(milestones=(120, 160), warmup=1.0)
    )
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    evaluate_every: int = 10
    """Epochs between evaluations; the last epoch is always evaluated."""
    checkpoint_every: int = 1
    """Epochs between resume points; the last epoch is always saved."""

    def __post_init__(self) -> None:
        """Refuse values that no training can use."""
        if self.epoch_steps is not None and self.epoch_steps < 1:
            raise ValueError(
                f"epoch_steps is at least 1, or left out for a pass over the pictures, got {self.epoch_steps}"
            )
        self.loop  # noqa: B018 - it refuses the others

    @property
    def loop(self) -> TrainSettings:
        """The same as the loop knows them."""
        return TrainSettings(
            epochs=self.epochs,
            batch_size=self.batch_size,
            accumulate=self.accumulate,
            learning_rate=self.learning_rate,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            schedule=self.schedule,
            precision=self.precision,
            evaluate_every=self.evaluate_every,
            checkpoint_every=self.checkpoint_every,
        )


@dataclass(frozen=True)
class DetectionRecipe:
    """Everything that decides a detector.

    Attributes:
        student: the detector that is trained.
        data: the pictures.
        task: "detection".
        teacher: where the teacher comes from; none to train the student alone.
        method: what the student learns from the teacher, besides its own losses; the terms add up.
        train: the training loop.
        seed: decides initialisation, order, mirror images and the regions that are sampled.
        compare: what is compared, which trains nothing of its own.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    student: DetectorSettings
    data: DetectionDataSettings
    task: Literal["detection"] = "detection"
    teacher: DetectionTeacherSettings | None = None
    method: tuple[MethodByName, ...] = ()
    train: DetectionTrainSettings = field(default_factory=DetectionTrainSettings)
    seed: int = 0
    compare: DetectionCompareSettings = field(default_factory=DetectionCompareSettings)

    def __post_init__(self) -> None:
        """Refuse what does not fit together."""
        if not 0 <= self.seed <= MAX_SEED:
            raise ValueError(f"seed must be from 0 to {MAX_SEED}, got {self.seed}")
        if bool(self.method) != (self.teacher is not None):
            given, missing = ("method", "teacher") if self.method else ("teacher", "method")
            raise ValueError(f"methods learn from a teacher: {given} is given, {missing} is missing")
        names = [settings.name for settings in self.method]
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"each method is used once, but {', '.join(doubled)} is there more often")

    @property
    def trained(self) -> "DetectionRecipe":
        """The same without what it compares."""
        return replace(self, compare=DetectionCompareSettings())

    @property
    def methods(self) -> str:
        """Their names, as one word."""
        return "+".join(settings.name for settings in self.method) or "supervised"

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is allowed, but probably not meant."""
        epochs, schedule = self.train.epochs, self.train.schedule
        late = isinstance(schedule, MultiStep) and all(milestone >= epochs for milestone in schedule.milestones)
        return (f"no milestone of train.schedule lies within the {epochs} epochs",) if late else ()
