"""Overhaul of feature distillation (Heo, Kim, Yun, Park, Kwak, Choi 2019, arXiv:1904.01866)."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from decant.interfaces import Batch, BuildContext, Outputs
from decant.losses import ofd_loss
from decant.losses.features import added, at_one_size
from decant.methods.adapters import connector
from decant.methods.checks import require_weights
from decant.methods.feature_method import FeatureMethod
from decant.methods.source import Source
from decant.methods.stages import paired_maps, paired_stages


@dataclass(frozen=True)
class OFDSettings:
    """Settings of :class:`OFD`: ``task_weight`` CE + ``weight`` OFD; the CIFAR-100 protocol's defaults."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}
    source: ClassVar[Source] = Source(2019, "arXiv:1904.01866")

    name: Literal["ofd"] = "ofd"
    task_weight: float = 1.0
    weight: float = 1e-3

    def __post_init__(self) -> None:
        """Refuse values that no training can use."""
        require_weights(task_weight=self.task_weight, weight=self.weight)

    def build(self, context: BuildContext) -> "OFD":
        """The method, with a connector for every stage after the stem, and margins from the teacher's BatchNorms."""
        taps = tuple(f"{stage}.pre" for stage in paired_stages(context, self.name))
        shapes = paired_maps(context, self.name, taps, tokens=True)
        channels = [(student[0], teacher[0]) for student, teacher in shapes]
        assert context.teacher is not None, "without a teacher there are no stages"
        margins = [
            negative_mean(last_batchnorm(context.teacher, tap, context.teacher_taps[tap], teacher))
            for tap, (_, teacher) in zip(taps, channels, strict=True)
        ]
        return OFD(self, taps, channels, margins).on_maps(context)


class OFD(FeatureMethod):
    """Terms ``hard`` and ``ofd``: the stages before their ReLU, except what it would silence in both networks."""

    def __init__(
        self, settings: OFDSettings, taps: tuple[str, ...], channels: list[tuple[int, int]], margins: list[Tensor]
    ) -> None:
        super().__init__(settings, taps)
        self.connectors = nn.ModuleList(connector(student, teacher) for student, teacher in channels)
        for stage, margin in enumerate(margins):
            # Not saved: they are worked out from the teacher again.
            self.register_buffer(f"margin{stage}", margin, persistent=False)

    def compare(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        """The partial distances, summed over the stages, each weighing half as much as the one after it."""
        terms = []
        for stage, (tap, bridge) in enumerate(zip(self.taps, self.connectors, strict=True)):
            own, goal = at_one_size(student.taps[tap], teacher.taps[tap])
            depth = len(self.taps) - 1 - stage
            terms.append(ofd_loss(bridge(own), goal, self.get_buffer(f"margin{stage}")) / 2**depth)
        return added(terms)


def last_batchnorm(network: nn.Module, tap: str, path: str, channels: int) -> _BatchNorm:
    """The BatchNorm whose output, or the end of whose branch, is the feature of ``channels`` channels at ``path``.

    It is the last one in the module there, or, where it has none (a sum of branches, say), the last one beside it.

    Raises:
        ValueError: there is none of that many channels.
    """
    parent, _, own = path.rpartition(".")
    beside = []
    for name, module in network.get_submodule(parent).named_children():
        if name == own:
            break
        beside.append(module)
    for places in (network.get_submodule(path).modules(), beside):
        found = [place for place in places if isinstance(place, _BatchNorm) and place.num_features == channels]
        if found:
            return found[-1]
    raise ValueError(
        f"ofd reads its margins from the BatchNorm before each ReLU of the teacher, but there is none of {channels} "
        f"channels in or beside module {path!r} (tap {tap!r}); this teacher is not one for ofd"
    )


def negative_mean(batchnorm: _BatchNorm) -> Tensor:
    """E[x | x < 0] by channel, (C,), where x is normal with the mean and deviation that the BatchNorm gives it.

    A channel that is hardly ever negative (probability up to 0.001) gets -3 deviations, as in the protocol.

    >>> round(negative_mean(nn.BatchNorm2d(1)).item(), 4)  # of a standard normal: -sqrt(2 / pi)
    -0.7979
    """
    features = batchnorm.num_features
    deviation = torch.ones(features) if batchnorm.weight is None else batchnorm.weight.detach().abs()
    mean = torch.zeros(features) if batchnorm.bias is None else batchnorm.bias.detach()
    deviation, mean = deviation.double(), mean.double()
    ratio = mean / deviation.where(deviation > 0, 1.0)
    share = torch.special.ndtr(-ratio)
    density = (-(ratio**2) / 2).exp() / math.sqrt(2 * math.pi)
    expected = torch.where(share > 0.001, mean - deviation * density / share, -3 * deviation)
    # A channel without deviation is constant: raised to 0, or left where it is.
    return torch.where(deviation > 0, expected, mean.clamp(max=0.0)).float()
