"""Self-supervised distillation by singular value decomposition (Lee, Kim, Song 2018, arXiv:1807.06819)."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from decant.interfaces import Batch, BuildContext, Outputs
from decant.losses import kdsvd_loss
from decant.methods.checks import require_weights, require_whole
from decant.methods.feature_method import FeatureMethod
from decant.methods.source import Source
from decant.methods.stages import paired_stages


@dataclass(frozen=True)
class KDSVDSettings:
    """Settings of :class:`KDSVD`: ``task_weight`` CE + ``weight`` KDSVD; the CIFAR-100 protocol's defaults."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}
    source: ClassVar[Source] = Source(2018, "arXiv:1807.06819")

    name: Literal["kdsvd"] = "kdsvd"
    task_weight: float = 1.0
    weight: float = 1.0
    k: int = 1
    """Singular vectors per stage."""

    def __post_init__(self) -> None:
        """Refuse values that no training can use."""
        require_weights(task_weight=self.task_weight, weight=self.weight)
        require_whole(1, k=self.k)

    def build(self, context: BuildContext) -> "KDSVD":
        """The method, on all stages after the stem."""
        taps = paired_stages(context, self.name)
        if len(taps) < 2:
            raise ValueError(f"{self.name} compares consecutive stages and needs at least 2, got {', '.join(taps)}")
        return KDSVD(self, taps).on_maps(context)


class KDSVD(FeatureMethod):
    """Terms ``hard`` and ``kdsvd``: how one stage's main pattern relates to the next one's; stages of any shapes."""

    def __init__(self, settings: KDSVDSettings, taps: tuple[str, ...]) -> None:
        super().__init__(settings, taps)
        self.k = settings.k

    def compare(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        """The distance of the relations, summed over consecutive stages."""
        return kdsvd_loss(*self.stages(student, teacher), k=self.k)
