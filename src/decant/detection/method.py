"""What a way to distil a detector is: which tensors of a step meet which equation, and with what weight.

Shape legend of this package: R sampled regions of interest (RoIs) of all images of a batch, C classes of which 0 is the
background, B images, H x W pixels.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from decant.interfaces import Outputs

IGNORED = -100
"""The target of a region that no method looks at: one of a class that the teacher does not know."""


@dataclass(frozen=True)
class Level:
    """A level that the feature pyramids of student and teacher have in common.

    Attributes:
        stride: pixels of the image per position of the map.
        student: the level's name in the student's pyramid.
        teacher: its name in the teacher's.
        student_channels: channels of the student's map.
        teacher_channels: channels of the teacher's map.
    """

    stride: int
    student: str
    teacher: str
    student_channels: int
    teacher_channels: int

    @property
    def tap(self) -> str:
        """The name under which methods find the maps of this level."""
        return f"stride{self.stride}"


class DetectionMethod(nn.Module, ABC):
    """A way to distil a two-stage detector, without the detector's own losses, which are always there.

    ``forward`` returns raw terms, ``weights`` says how they add up now; both always have the same names. Learnable
    bridges are parameters of the method.
    """

    reads_logits: bool = False
    """Whether it compares the class logits of the sampled regions; the teacher's RoI head is run for it."""

    @abstractmethod
    def forward(self, student: Outputs, teacher: Outputs, target: Tensor) -> dict[str, Tensor]:
        """The raw terms of a step.

        Args:
            student: logits (R, C) of the sampled regions, and under ``taps`` the maps of the common levels.
            teacher: the same of the teacher, without graph.
            target: the class that each region was sampled for (R,), 0 for background, -100 where it does not count.
        """

    @abstractmethod
    def weights(self, epoch: float) -> dict[str, float]:
        """The weight of every term after ``epoch`` completed epochs."""


@runtime_checkable
class DetectionMethodSettings(Protocol):
    """A frozen dataclass that holds every setting of a method for detectors, and builds the method."""

    @property
    def name(self) -> str:
        """The method's name in recipes."""
        ...

    def build(self, levels: tuple[Level, ...]) -> DetectionMethod:
        """The method for pyramids that have these levels in common, finest first."""
        ...


def require_levels(levels: tuple[Level, ...], method: str) -> None:
    """Raise ValueError unless the two pyramids have a level in common."""
    if not levels:
        raise ValueError(
            f"{method} compares levels of equal stride, but the pyramids of student and teacher have none in common; "
            "use a method on logits (kd, dkd)"
        )
