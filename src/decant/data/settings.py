"""What a recipe says about its data."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

from decant.data.pictures.settings import PictureSettings

DatasetName = Literal["digits", "cifar10", "cifar100", "fake", "pictures"]
MAGNITUDES = 31
"""How many magnitudes RandAugment knows, from 0 on."""


@dataclass(frozen=True)
class RandAugmentSettings:
    """How strong views are made: crop and flip as for any view, then so many operations drawn for each sample.

    Raises:
        ValueError: a number that is out of range.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    name: Literal["randaugment"] = "randaugment"
    operations: int = 2
    """Operations on an image, one after the other."""
    magnitude: int = 10
    """How much they do, 0 to 30; the same for all."""

    def __post_init__(self) -> None:
        """Refuse numbers out of range."""
        if not 1 <= self.operations <= 8:
            raise ValueError(f"operations is 1 to 8, got {self.operations}")
        if not 0 <= self.magnitude < MAGNITUDES:
            raise ValueError(f"magnitude is 0 to {MAGNITUDES - 1}, got {self.magnitude}")


@dataclass(frozen=True)
class DataSettings:
    """Which data set, how its views are drawn, and which part of its training images may be trained on.

    The test set is the same under every setting of a data set (``fake``, which is made to size, apart).

    Raises:
        ValueError: a value that no data set can serve.

    Example:
        >>> DataSettings(name="cifar100").padding
        4
        >>> DataSettings(validation=1.5)
        Traceback (most recent call last):
        ...
        ValueError: validation is the share of the training images held out, at least 0 and below 1; got 1.5
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    name: DatasetName = "digits"

    padding: int = 4
    """Random crop of the image's own size after a black border of so many pixels; 0 for none. 4 is for 32 x 32 pixels:
    8 x 8 digits want 1."""
    flip: bool = True
    """Mirror left and right with probability 1/2. Mirrored digits are no digits: switch it off there."""
    view_seed: int | None = None
    """Seed of the crops and flips; None follows the run's seed, a number lets runs of different seeds share views."""
    strong: RandAugmentSettings = field(default_factory=RandAugmentSettings)
    """How strong views are made, for methods that learn from them; no other has any, unless ``all_strong``."""

    validation: float = 0.0
    """Share of each class's training images that is held out of training, for tuning to be judged on."""
    train_per_class: int | None = None
    """Few labels: so many training images of each class, out of those left after validation; None for all of them.
    Under one ``split_seed`` a smaller number is a subset of a larger one, and the validation set stays the same."""
    split_seed: int = 0
    """Decides which images ``validation`` and ``train_per_class`` take, and which labels are wrong or hidden."""
    label_noise: float = 0.0
    """Share of the training labels that are replaced by another class on purpose; no other image's are."""
    hidden_labels: float = 0.0
    """Share of each class's training labels that are hidden, to see what labels are worth: the images are trained on as
    unlabelled ones, at least one of each class with its label. Those of a smaller share are among those of a larger."""
    unlabelled: bool = False
    """Whether ``pictures`` without a label are trained on as well; the command or `Places` says where they are."""
    all_strong: bool = False
    """Whether every training view is a strong one, whatever the method asks for."""

    fake_train: int = 512
    """Training images of ``fake``."""
    fake_test: int = 256
    """Test images of ``fake``."""
    fake_classes: int = 10
    """Classes of ``fake``."""
    fake_pixels: int = 32
    """Height and width of ``fake``'s images."""

    pictures: PictureSettings = field(default_factory=PictureSettings)
    """How ``pictures``, one's own, become images. ``padding`` and what begins with ``fake_`` are not for them."""

    def __post_init__(self) -> None:
        """Refuse values that no data set can serve."""
        names = get_args(DatasetName)
        if self.name not in names:
            raise ValueError(f"name is one of {', '.join(names)}; got {self.name!r}")
        at_least = {
            "padding": (self.padding, 0),
            "split_seed": (self.split_seed, 0),
            "fake_classes": (self.fake_classes, 2),
            "fake_train": (self.fake_train, self.fake_classes),
            "fake_test": (self.fake_test, 1),
            "fake_pixels": (self.fake_pixels, 4),
        }
        if self.view_seed is not None:
            at_least["view_seed"] = (self.view_seed, 0)
        if self.train_per_class is not None:
            at_least["train_per_class"] = (self.train_per_class, 1)
        for name, (value, least) in at_least.items():
            if not least <= value < 2**63:
                reason = " (one image of every class)" if name == "fake_train" else ""
                raise ValueError(f"{name} is at least {least}{reason} and below 2**63; got {value}")
        if not 0 <= self.label_noise < 1:
            raise ValueError(
                f"label_noise is the share of wrong training labels, at least 0 and below 1; got {self.label_noise}"
            )
        if not 0 <= self.hidden_labels < 1:
            raise ValueError(
                f"hidden_labels is a share of the training labels, at least 0 and below 1; got {self.hidden_labels}"
            )
        if self.unlabelled and self.name != "pictures":
            raise ValueError(f"unlabelled is for one's own pictures; hidden_labels hides those of {self.name}")
        if not 0 <= self.validation < 1:
            raise ValueError(
                "validation is the share of the training images held out, at least 0 and below 1; "
                f"got {self.validation}"
            )
