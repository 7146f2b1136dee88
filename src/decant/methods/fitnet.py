"""FitNets (Romero, Ballas, Kahou, Chassang, Gatta, Bengio 2015, arXiv:1412.6550)."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from decant.interfaces import Batch, BuildContext, Outputs
from decant.methods.adapters import hint_regressor
from decant.methods.checks import require_weights, require_whole
from decant.methods.feature_method import FeatureMethod
from decant.methods.source import Source
from decant.methods.stages import paired_maps


@dataclass(frozen=True)
class FitNetSettings:
    """Settings of :class:`FitNet`: ``task_weight`` CE + ``weight`` MSE of a hint; the CIFAR-100 protocol's defaults."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}
    source: ClassVar[Source] = Source(2015, "arXiv:1412.6550")

    name: Literal["fitnet"] = "fitnet"
    task_weight: float = 1.0
    weight: float = 100.0
    stage: int = 2
    """The stage whose feature is the hint; 0 is the stem."""

    def __post_init__(self) -> None:
        """Refuse values that no training can use."""
        require_weights(task_weight=self.task_weight, weight=self.weight)
        require_whole(0, stage=self.stage)

    def build(self, context: BuildContext) -> "FitNet":
        """The method, with a regressor for the shapes of the stage."""
        tap = f"stage{self.stage}"
        ((student, teacher),) = paired_maps(context, self.name, (tap,), tokens=True)
        return FitNet(self, tap, hint_regressor(student, teacher)).on_maps(context)


class FitNet(FeatureMethod):
    """Terms ``hard`` and ``fitnet``: mean square between the teacher's feature and one told from the student's."""

    def __init__(self, settings: FitNetSettings, tap: str, regressor: nn.Module) -> None:
        super().__init__(settings, (tap,))
        self.regressor = regressor

    def compare(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        """The mean square, over samples, channels and positions; half C H W of it is the paper's."""
        return F.mse_loss(self.regressor(student.taps[self.taps[0]]), teacher.taps[self.taps[0]])
