"""Methods on the levels of the feature pyramids: fitnet and reviewkd."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from decant.detection.method import DetectionMethod, Level, require_levels
from decant.interfaces import Outputs
from decant.losses import hcl_loss
from decant.methods.adapters import AttentionFusion
from decant.methods.checks import require_warmup, require_weights
from decant.methods.warmup import linear_warmup

_MOST_CHANNELS = 512


@dataclass(frozen=True)
class PyramidFitNetSettings:
    """Settings of :class:`PyramidFitNet`: ``weight`` times the mean square, averaged over the levels."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    name: Literal["fitnet"] = "fitnet"
    weight: float = 1.0

    def __post_init__(self) -> None:
        """Refuse values that no training can use."""
        require_weights(weight=self.weight)

    def build(self, levels: tuple[Level, ...]) -> "PyramidFitNet":
        """The method, with a regressor for every level."""
        require_levels(levels, self.name)
        return PyramidFitNet(self, levels)


@dataclass(frozen=True)
class PyramidReviewKDSettings:
    """Settings of :class:`PyramidReviewKD`: ``weight`` HCL, summed over the levels.

    The paper's MS-COCO weights: 1.2 for ResNet-101 -> ResNet-18, 1.0 for ResNet-101 -> ResNet-50 and 2.0 for ResNet-50
    -> MobileNetV2.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    name: Literal["reviewkd"] = "reviewkd"
    weight: float = 1.0
    warmup: int = 0
    """Epochs over which ``weight`` rises linearly to its value; 0 for none."""

    def __post_init__(self) -> None:
        """Refuse values that no training can use."""
        require_weights(weight=self.weight)
        require_warmup(self.warmup)

    def build(self, levels: tuple[Level, ...]) -> "PyramidReviewKD":
        """The method, with a fusion for every level."""
        require_levels(levels, self.name)
        return PyramidReviewKD(self, levels)


class PyramidFitNet(DetectionMethod):
    """Term ``fitnet``: mean square between the teacher's level and one told from the student's, averaged over levels.

    The regressors are 1x1 convolutions without ReLU, because a pyramid's maps have both signs.
    Source: Romero, Ballas, Kahou, Chassang, Gatta, Bengio, *FitNets*, arXiv:1412.6550.
    """

    def __init__(self, settings: PyramidFitNetSettings, levels: tuple[Level, ...]) -> None:
        super().__init__()
        self.settings, self.taps = settings, tuple(level.tap for level in levels)
        self.regressors = nn.ModuleList(
            nn.Conv2d(level.student_channels, level.teacher_channels, 1) for level in levels
        )

    def forward(self, student: Outputs, teacher: Outputs, target: Tensor) -> dict[str, Tensor]:
        """The term of this step."""
        squares = [
            F.mse_loss(regressor(student.taps[tap]).float(), teacher.taps[tap].float())
            for tap, regressor in zip(self.taps, self.regressors, strict=True)
        ]
        return {"fitnet": torch.stack(squares).mean()}

    def weights(self, epoch: float) -> dict[str, float]:
        """``weight``."""
        return {"fitnet": self.settings.weight}


class PyramidReviewKD(DetectionMethod):
    """Term ``reviewkd``: the student's levels, each joined with all coarser ones, against the teacher's.

    Source: Chen, Liu, Zhao, Jia, *Distilling Knowledge via Knowledge Review*, CVPR 2021, arXiv:2104.09044.
    """

    def __init__(self, settings: PyramidReviewKDSettings, levels: tuple[Level, ...]) -> None:
        super().__init__()
        self.settings, self.taps = settings, tuple(level.tap for level in levels)
        width = min(_MOST_CHANNELS, levels[-1].student_channels)
        self.fusions = nn.ModuleList(
            AttentionFusion(level.student_channels, width, level.teacher_channels, None, deepest=level is levels[-1])
            for level in levels
        )

    def forward(self, student: Outputs, teacher: Outputs, target: Tensor) -> dict[str, Tensor]:
        """The term of this step."""
        fused: list[Tensor] = []
        coarser: Tensor | None = None
        for tap, fusion in zip(reversed(self.taps), reversed(self.fusions), strict=True):
            feature, coarser = fusion(student.taps[tap], coarser)
            fused.insert(0, feature)
        return {"reviewkd": hcl_loss(fused, [teacher.taps[tap] for tap in self.taps])}

    def weights(self, epoch: float) -> dict[str, float]:
        """``weight`` times the warm-up."""
        return {"reviewkd": self.settings.weight * linear_warmup(epoch, self.settings.warmup)}
