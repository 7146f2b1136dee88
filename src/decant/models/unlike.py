"""Teachers that are unlike their students: other pixels, other classes, or several of them."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Sight:
    """What a network's images are.

    Attributes:
        size: height and width.
        mean: per channel, of pixels scaled to 0..1: what was subtracted. In the order red, green, blue, whatever
            ``channels`` says.
        std: per channel, likewise: what was divided by.
        interpolation: how images are resized to ``size``.
        channels: the order of the channels.
    """

    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    channels: Literal["rgb", "bgr"] = "rgb"


class Resighted(nn.Module):
    """A network that is shown the same view as another one, in its own normalisation, size and order of channels.

        y = (x std + mean - mean') / std',    resized to size', channels reversed where the orders differ

    Args:
        network: images of ``there`` to logits.
        here: what the images are.
        there: what the network was trained on.

    Raises:
        ValueError: means and stds of different numbers of channels.
    """

    def __init__(self, network: nn.Module, here: Sight, there: Sight) -> None:
        super().__init__()
        if len({len(values) for values in (here.mean, here.std, there.mean, there.std)}) != 1:
            raise ValueError(
                f"mean and std have one number for each channel; got {here.mean}, {here.std}, {there.mean}, {there.std}"
            )
        self.network = network
        self.size = None if here.size == there.size else there.size
        self.interpolation = there.interpolation
        self.reversed = here.channels != there.channels
        factor = [mine / theirs for mine, theirs in zip(here.std, there.std, strict=True)]
        moved = zip(here.mean, there.mean, there.std, strict=True)
        offset = [(mine - theirs) / std for mine, theirs, std in moved]
        # In the order in which the images have their channels.
        step = -1 if here.channels == "bgr" else 1
        self.register_buffer("factor", torch.tensor(factor[::step]).view(-1, 1, 1), persistent=False)
        self.register_buffer("offset", torch.tensor(offset[::step]).view(-1, 1, 1), persistent=False)
        self.taps = {name: f"network.{path}" for name, path in _taps(network).items()}

    def forward(self, images: Tensor) -> Tensor:
        """The logits of images (N, channels, H, W) that are normalised as ``here`` says."""
        images = images * self.get_buffer("factor") + self.get_buffer("offset")
        if self.reversed:
            images = images.flip(1)
        if self.size is not None:
            images = F.interpolate(images, self.size, mode=self.interpolation, antialias=True, align_corners=False)
        logits: Tensor = self.network(images)
        return logits


def resighted(network: nn.Module, here: Sight, there: Sight) -> nn.Module:
    """``network`` for images that are ``here``; itself where they are what it was trained on.

    >>> network, sight = nn.Flatten(), Sight((8, 8), (0.5,), (0.25,))
    >>> resighted(network, sight, sight) is network
    True
    >>> there = Sight((4, 4), (0.0,), (1.0,))
    >>> resighted(network, sight, there)(torch.zeros(1, 1, 8, 8))[0, :3].tolist()
    [0.5, 0.5, 0.5]
    """
    same = (here.size, here.mean, here.std, here.channels) == (there.size, there.mean, there.std, there.channels)
    return network if same else Resighted(network, here, there)


class FoldedClasses(nn.Module):
    """A network over K classes as one over C: the logit of a class is the logsumexp of those that belong to it.

        softmax(folded)_c = sum over k in c of p_k / sum over all k that belong anywhere of p_k

    So classes of the network that belong nowhere are as if it had been asked about the others alone.

    Args:
        network: images to logits (N, K).
        owner: for each of the K classes the class that it belongs to, 0 to C - 1, or -1 for none.
        classes: C.

    Raises:
        ValueError: a class of the C that none belongs to.

    >>> FoldedClasses(nn.Identity(), (1, 0, 1, -1), classes=2)(torch.tensor([[0.0, 5.0, 0.0, 9.0]])).tolist()
    [[5.0, 0.6931471824645996]]
    """

    def __init__(self, network: nn.Module, owner: Sequence[int], classes: int) -> None:
        super().__init__()
        if set(owner) - {-1} != set(range(classes)):
            raise ValueError(f"each of {classes} classes needs one that belongs to it; got owners {sorted(set(owner))}")
        self.network, self.classes = network, classes
        kept = [place for place, into in enumerate(owner) if into >= 0]
        self.one_to_one = len(kept) == classes
        if self.one_to_one:  # then nothing is added up, and every logit stays what it is, to the bit
            kept.sort(key=lambda place: owner[place])
        self.register_buffer("kept", torch.tensor(kept), persistent=False)
        self.register_buffer("owner", torch.tensor([owner[place] for place in kept]), persistent=False)
        self.taps = {name: f"network.{path}" for name, path in _taps(network).items()}

    def forward(self, images: Tensor) -> Tensor:
        """The logits (N, C)."""
        logits: Tensor = self.network(images)
        logits = logits.index_select(1, self.get_buffer("kept"))
        if self.one_to_one:
            return logits
        owner = self.get_buffer("owner").expand(len(logits), -1)
        highest = logits.new_full((len(logits), self.classes), -torch.inf).scatter_reduce(1, owner, logits, "amax")
        parts = (logits - highest.gather(1, owner)).exp()
        return highest + torch.zeros_like(highest).scatter_add(1, owner, parts).log()


@dataclass(frozen=True)
class ClassMap:
    """Which class of a student each class of a teacher belongs to.

    Attributes:
        owner: for each class of the teacher the student's, or -1.
        unused: names of the teacher's classes that belong nowhere.
    """

    owner: tuple[int, ...]
    unused: tuple[str, ...]


def map_classes(teacher: Sequence[str], student: Sequence[str], rename: Mapping[str, str] | None = None) -> ClassMap:
    """Match classes by name; several of the teacher's may be one of the student's.

    Args:
        teacher: names of the teacher's classes, by index.
        student: names of the student's.
        rename: teacher's name -> student's, for those whose names differ.

    Raises:
        ValueError: a class of the student that the teacher does not know; ``rename`` names what neither has; two
            classes of the student with one name.

    >>> map_classes(["cat", "tabby", "dog", "bus"], ["dog", "cat"], {"tabby": "cat"})
    ClassMap(owner=(1, 1, 0, -1), unused=('bus',))
    """
    rename = dict(rename or {})
    if len(set(student)) != len(student):
        raise ValueError(f"the student's classes must have different names; got {list(student)}")
    if strangers := sorted({*rename} - {*teacher} | {*rename.values()} - {*student}):
        raise ValueError(f"rename maps the teacher's names to the student's; there is no {_some(strangers)}")
    place = {name: index for index, name in enumerate(student)}
    owner = tuple(place.get(rename.get(name, name), -1) for name in teacher)
    if unknown := [name for index, name in enumerate(student) if index not in owner]:
        near = difflib.get_close_matches(unknown[0], teacher, n=3)
        raise ValueError(
            f"the teacher has no class {_some(unknown)} ({len(unknown)} of {len(student)}); give rename, the teacher's "
            f"name -> the student's, or fine-tune it on these classes (nearest to {unknown[0]!r}: "
            f"{', '.join(near) or 'none'})"
        )
    return ClassMap(owner, tuple(name for name, into in zip(teacher, owner, strict=True) if into < 0))


def folded_classes(network: nn.Module, mapped: ClassMap, classes: int) -> nn.Module:
    """``network`` over the student's classes; itself where they are its own in its own order."""
    return network if mapped.owner == tuple(range(classes)) else FoldedClasses(network, mapped.owner, classes)


class AveragedTeachers(nn.Module):
    """Several networks as one: log of the weighted mean of their probabilities, log sum_k w_k softmax(z_k).

    The result serves as logits: its softmax is the mean. The networks share what they are shown and what they answer:
    see :func:`resighted` and :class:`FoldedClasses`.

    Args:
        networks: images to logits (N, C).
        weights: w_k, above 0; scaled so that they add up to 1.

    Raises:
        ValueError: not one positive weight for each network.

    >>> both = AveragedTeachers([nn.Identity(), nn.Identity()], [3.0, 1.0])
    >>> both(torch.tensor([[0.0, 0.0]])).exp()
    tensor([[0.5000, 0.5000]])
    """

    def __init__(self, networks: Sequence[nn.Module], weights: Sequence[float]) -> None:
        super().__init__()
        if not networks or len(networks) != len(weights) or not all(weight > 0 for weight in weights):
            raise ValueError(f"one weight above 0 for each of {len(networks)} teachers; got {list(weights)}")
        self.networks = nn.ModuleList(networks)
        shares = torch.tensor(list(weights), dtype=torch.float64)
        self.register_buffer("log_weights", (shares / shares.sum()).log().float(), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """The logits (N, C)."""
        answers = torch.stack([network(images).float().log_softmax(1) for network in self.networks])
        return (answers + self.get_buffer("log_weights").view(-1, 1, 1)).logsumexp(0)


def _taps(network: nn.Module) -> Mapping[str, str]:
    taps = getattr(network, "taps", None)
    return taps if isinstance(taps, Mapping) else {}


def _some(names: Sequence[str], shown: int = 8) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(map(repr, names[:shown])) + more
