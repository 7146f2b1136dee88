"""What a recipe says about pictures: how large the networks see them, and what of them."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

Interpolation = Literal["bilinear", "bicubic"]


@dataclass(frozen=True)
class PictureSettings:
    """How pictures of any size become the images of a batch; the defaults are those of ImageNet's training.

    A training view is a random window of the picture, resized to ``size`` squared (Szegedy et al., arXiv:1409.4842).
    For evaluation the shorter side is resized to ``resize``, and the centre of ``size`` squared is taken.

    Raises:
        ValueError: a value that no picture can serve.

    Example:
        >>> PictureSettings(size=64).evaluation_resize
        73
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    size: int = 224
    """Height and width of what the networks see."""
    scale: tuple[float, float] = (0.08, 1.0)
    """Smallest and largest share of a picture's area that a training view shows."""
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    """Smallest and largest width over height of a training view's window."""
    resize: int | None = None
    """Shorter side of a picture before the centre is taken for evaluation; none for ``size`` / 0.875."""
    interpolation: Interpolation = "bilinear"
    """How pictures are resized; both smooth before they shrink."""
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    """Of red, green and blue, scaled to 0..1: what normalisation subtracts."""
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    """Likewise: what normalisation divides by."""
    test: float = 0.2
    """Share of each class's pictures that is the test set, where the folder or table names none."""
    sizes: tuple[tuple[int, int], ...] = ()
    """Progressive resizing: pairs of an epoch and the height and width of training views from it on, such as
    [[0, 128], [30, 160], [60, 224]]; before the first, and in evaluation, they are ``size``."""

    @property
    def evaluation_resize(self) -> int:
        """``resize``, or what it is by default."""
        return round(self.size / 0.875) if self.resize is None else self.resize

    def training_size(self, epoch: int) -> int:
        """Height and width of training views after so many completed epochs.

        >>> [PictureSettings(sizes=((0, 128), (30, 224))).training_size(epoch) for epoch in (0, 29, 30, 99)]
        [128, 128, 224, 224]
        """
        return next((size for first, size in reversed(self.sizes) if epoch >= first), self.size)

    def __post_init__(self) -> None:
        """Refuse values that no picture can serve."""
        if not 1 <= self.size <= 2**14:
            raise ValueError(f"size is 1 to {2**14} pixels, got {self.size}")
        if self.resize is not None and not self.size <= self.resize <= 2**15:
            raise ValueError(f"resize is at least size, {self.size} pixels, got {self.resize}")
        epochs = [epoch for epoch, _ in self.sizes]
        if epochs != sorted(set(epochs)) or any(epoch < 0 or not 1 <= size <= 2**14 for epoch, size in self.sizes):
            raise ValueError(
                f"sizes are pairs of an epoch, rising from 0 on, and 1 to {2**14} pixels; got {list(self.sizes)}"
            )
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ValueError(f"scale is a smallest and a largest share above 0 up to 1, got {list(self.scale)}")
        if not (0 < self.ratio[0] <= self.ratio[1] and math.isfinite(self.ratio[1])):
            raise ValueError(f"ratio is a smallest and a largest number above 0, got {list(self.ratio)}")
        if not all(map(math.isfinite, (*self.mean, *self.std))) or not all(value > 0 for value in self.std):
            raise ValueError(f"mean and std are finite, std above 0; got {list(self.mean)} and {list(self.std)}")
        if not 0 < self.test < 1:
            raise ValueError(
                f"test is the share of the pictures that is the test set, between 0 and 1; got {self.test}"
            )
