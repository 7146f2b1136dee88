"""Methods on the class logits of the sampled regions: kd and dkd, foreground and background apart."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from decant.detection.method import IGNORED, DetectionMethod, Level
from decant.interfaces import Outputs
from decant.losses import dkd_terms, kd_loss
from decant.methods.checks import require_temperature, require_warmup, require_weights
from decant.methods.warmup import linear_warmup


@dataclass(frozen=True)
class RegionKDSettings:
    """Settings of :class:`RegionKD`: ``weight`` T^2 KL(teacher || student), mean over the sampled regions."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    name: Literal["kd"] = "kd"
    weight: float = 1.0
    temperature: float = 1.0
    warmup: int = 0
    """Epochs over which the weights rise linearly to their values; 0 for none."""
    foreground: float = 1.0
    """Factor of the regions that were sampled for an object."""
    background: float = 1.0
    """Factor of the regions that were sampled as background."""

    def __post_init__(self) -> None:
        """Refuse values that no training can use."""
        require_weights(weight=self.weight, foreground=self.foreground, background=self.background)
        require_temperature(self.temperature)
        require_warmup(self.warmup)

    def build(self, levels: tuple[Level, ...]) -> "RegionKD":
        """The method; it needs no levels."""
        return RegionKD(self)


@dataclass(frozen=True)
class RegionDKDSettings:
    """Settings of :class:`RegionDKD`: ``alpha`` TCKD + ``beta`` NCKD, mean over the sampled regions.

    The defaults are those of the paper's MS-COCO experiments (arXiv:2203.08679): background is a class like any other.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    name: Literal["dkd"] = "dkd"
    alpha: float = 1.0
    beta: float = 0.25
    temperature: float = 1.0
    warmup: int = 0
    """Epochs over which the weights rise linearly to their values; 0 for none."""
    foreground: float = 1.0
    """Factor of the regions that were sampled for an object."""
    background: float = 1.0
    """Factor of the regions that were sampled as background."""

    def __post_init__(self) -> None:
        """Refuse values that no training can use."""
        require_weights(alpha=self.alpha, beta=self.beta, foreground=self.foreground, background=self.background)
        require_temperature(self.temperature)
        require_warmup(self.warmup)

    def build(self, levels: tuple[Level, ...]) -> "RegionDKD":
        """The method; it needs no levels."""
        return RegionDKD(self)


class RegionKD(DetectionMethod):
    """Terms ``kd_foreground`` and ``kd_background``, in nats: each the sum over its regions, over R.

    Their sum is the mean over all sampled regions.
    """

    reads_logits = True

    def __init__(self, settings: RegionKDSettings) -> None:
        super().__init__()
        self.settings = settings

    def forward(self, student: Outputs, teacher: Outputs, target: Tensor) -> dict[str, Tensor]:
        """The terms of this step."""
        divergence = kd_loss(
            student.logits,
            teacher.logits,
            temperature=self.settings.temperature,
            reduction="none",
            mask=target != IGNORED,
        )
        return _apart("kd", divergence, target)

    def weights(self, epoch: float) -> dict[str, float]:
        """``weight`` times the warm-up and the factors of foreground and background."""
        settings = self.settings
        weight = settings.weight * linear_warmup(epoch, settings.warmup)
        return {"kd_foreground": weight * settings.foreground, "kd_background": weight * settings.background}


class RegionDKD(DetectionMethod):
    """Terms ``tckd_foreground``, ``tckd_background``, ``nckd_foreground`` and ``nckd_background``, in nats.

    Each is the sum over its regions, over R: foreground and background together are the mean over all sampled regions.
    Source: Zhao, Cui, Song, Qiu, Liang, *Decoupled Knowledge Distillation*, CVPR 2022, arXiv:2203.08679, section 4.
    """

    reads_logits = True

    def __init__(self, settings: RegionDKDSettings) -> None:
        super().__init__()
        self.settings = settings

    def forward(self, student: Outputs, teacher: Outputs, target: Tensor) -> dict[str, Tensor]:
        """The terms of this step."""
        terms = dkd_terms(
            student.logits,
            teacher.logits,
            target,
            temperature=self.settings.temperature,
            reduction="none",
            ignore_index=IGNORED,
        )
        return {**_apart("tckd", terms.tckd, target), **_apart("nckd", terms.nckd, target)}

    def weights(self, epoch: float) -> dict[str, float]:
        """``alpha`` and ``beta`` times the warm-up and the factors of foreground and background."""
        settings = self.settings
        factor = linear_warmup(epoch, settings.warmup)
        return {
            f"{term}_{place}": weight * factor * share
            for term, weight in (("tckd", settings.alpha), ("nckd", settings.beta))
            for place, share in (("foreground", settings.foreground), ("background", settings.background))
        }


def _apart(name: str, values: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Values (R,) summed over foreground and over background, both over the number of regions that count."""
    counted = (target != IGNORED).sum().clamp(min=1)
    return {
        f"{name}_{place}": torch.where(chosen, values, 0.0).sum() / counted
        for place, chosen in (("foreground", target > 0), ("background", target == 0))
    }
