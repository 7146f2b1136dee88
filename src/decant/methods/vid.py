"""Variational information distillation (Ahn, Hu, Damianou, Lawrence, Dai 2019, arXiv:1904.05835)."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from decant.interfaces import Batch, BuildContext, Outputs
from decant.losses import vid_loss
from decant.losses.features import added, at_one_size
from decant.methods.adapters import mean_regressor
from decant.methods.checks import require_positive, require_weights
from decant.methods.feature_method import FeatureMethod
from decant.methods.source import Source
from decant.methods.stages import paired_maps, paired_stages


@dataclass(frozen=True)
class VIDSettings:
    """Settings of :class:`VID`: ``task_weight`` CE + ``weight`` VID; the CIFAR-100 protocol's defaults."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}
    source: ClassVar[Source] = Source(2019, "arXiv:1904.05835")

    name: Literal["vid"] = "vid"
    task_weight: float = 1.0
    weight: float = 1.0
    initial_variance: float = 5.0
    """Of the Gaussian around the prediction, before it is learned."""
    eps: float = 1e-5
    """The smallest variance."""

    def __post_init__(self) -> None:
        """Refuse values that no training can use."""
        require_weights(task_weight=self.task_weight, weight=self.weight)
        require_positive(eps=self.eps)
        if not (math.isfinite(self.initial_variance) and self.initial_variance > self.eps):
            raise ValueError(f"initial_variance must be finite and above eps {self.eps}, got {self.initial_variance}")

    def build(self, context: BuildContext) -> "VID":
        """The method, with a regressor and variances for every stage after the stem."""
        taps = paired_stages(context, self.name)
        shapes = paired_maps(context, self.name, taps, tokens=True)
        return VID(self, taps, [(student[0], teacher[0]) for student, teacher in shapes]).on_maps(context)


class VID(FeatureMethod):
    """Terms ``hard`` and ``vid`` (nats; may be negative): how well the teacher's stages are told from the student's."""

    def __init__(self, settings: VIDSettings, taps: tuple[str, ...], channels: list[tuple[int, int]]) -> None:
        super().__init__(settings, taps)
        self.eps = settings.eps
        self.regressors = nn.ModuleList(mean_regressor(student, teacher) for student, teacher in channels)
        # The inverse of softplus, written so that a large variance does not overflow.
        variance = settings.initial_variance - settings.eps
        start = variance + math.log(-math.expm1(-variance))
        # Learned, as the paper has it: what stays uncertain about a channel is no fault of the student's.
        self.log_scales = nn.ParameterList(torch.full((teacher,), start) for _, teacher in channels)

    def compare(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        """The negative log-likelihood, summed over the stages."""
        terms = []
        for tap, regressor, log_scale in zip(self.taps, self.regressors, self.log_scales, strict=True):
            own, goal = at_one_size(student.taps[tap], teacher.taps[tap])
            terms.append(vid_loss(regressor(own), log_scale, goal, self.eps))
        return added(terms)
