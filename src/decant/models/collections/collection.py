"""What Decant asks of a collection of networks."""

import difflib
import importlib
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Literal

from torch import nn

Option = bool | int | float | str


@dataclass(frozen=True)
class Preprocessing:
    """What a network was trained to see: sRGB pixels in 0..1, resized, cut and normalised.

    Attributes:
        size: height and width of its images.
        resize: shorter side of a picture before the centre of ``size`` is taken.
        mean: per channel, subtracted.
        std: per channel, divided by.
        interpolation: how pictures are resized.
    """

    size: int
    resize: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"


class Collection(ABC):
    """Networks of one library, by name. Nothing reaches the network unless ``pretrained`` is asked for."""

    @abstractmethod
    def require(self, name: str) -> None:
        """Raise ValueError unless there is a network of that name, with the nearest ones."""

    def require_contained(self, name: str) -> None:
        """Raise ValueError unless the library makes the network of that name out of its own code, and reads nothing."""
        self.require(name)

    def refuse_options(self, options: Mapping[str, Option]) -> None:  # noqa: B027
        """Raise ValueError for options that would read files or reach the network; most libraries know of none."""

    @abstractmethod
    def build(
        self, name: str, classes: int | None, channels: int, *, pretrained: bool, options: Mapping[str, Option]
    ) -> nn.Module:
        """The network from images (N, channels, H, W) to logits (N, classes).

        With ``pretrained`` its body has the library's weights; where the number of classes differs, its classifier is a
        fresh one. ``classes`` None keeps the library's own number.
        """

    @abstractmethod
    def preprocessing(self, name: str) -> Preprocessing | None:
        """What its pretrained weights were trained to see, where the library says so; without a download."""

    @abstractmethod
    def classes(self, name: str) -> tuple[str, ...] | None:
        """Names of the classes of its pretrained weights, where the library knows them; without a download."""


def library(name: str, *, extra: str) -> ModuleType:
    """An optional library.

    Raises:
        ValueError: it is not installed; the message says what to install.
    """
    if importlib.util.find_spec(name) is None:
        raise ValueError(f"this network needs {name}, which is not installed: pip install 'decant-kd[{extra}]'")
    return importlib.import_module(name)


def refuse_unknown(collection: str, name: str, known: Iterable[str]) -> None:
    """Raise ValueError with the nearest names unless ``name`` is among the known ones."""
    known = list(known)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
        hint = f"nearest: {', '.join(near)}" if near else f"it has {len(known)}"
        raise ValueError(f"{collection} has no network {name!r}; {hint}")


def refuse_channels(collection: str, channels: int) -> None:
    """Raise ValueError unless the images are in colour."""
    if channels != 3:
        raise ValueError(f"{collection}'s networks are for images of 3 channels; the data has {channels}")
