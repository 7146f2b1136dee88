"""Knowledge review (Chen, Liu, Zhao, Jia 2021, arXiv:2104.09044)."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from decant.interfaces import Batch, BuildContext, Outputs
from decant.losses import hcl_loss
from decant.methods.adapters import AttentionFusion
from decant.methods.checks import require_warmup, require_weights
from decant.methods.feature_method import FeatureMethod
from decant.methods.source import Source
from decant.methods.stages import Shape, paired_maps, paired_stages, paired_vectors

MOST_CHANNELS = 512


@dataclass(frozen=True)
class ReviewKDSettings:
    """Settings of :class:`ReviewKD`: ``task_weight`` CE + ``weight`` HCL.

    The defaults are those of the CIFAR-100 protocol for resnet32x4 -> resnet8x4; the weight goes from 0.6 to 8 by pair.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}
    source: ClassVar[Source] = Source(2021, "arXiv:2104.09044")

    name: Literal["reviewkd"] = "reviewkd"
    task_weight: float = 1.0
    weight: float = 5.0
    warmup: int = 20
    """Epochs over which ``weight`` rises linearly to its value; 0 for none."""

    def __post_init__(self) -> None:
        """Refuse values that no training can use."""
        require_weights(task_weight=self.task_weight, weight=self.weight)
        require_warmup(self.warmup)

    def build(self, context: BuildContext) -> "ReviewKD":
        """The method, with a fusion for every stage after the stem and for the pooled feature."""
        stages = paired_stages(context, self.name)
        own = paired_maps(context, self.name, stages, tokens=True)
        before = paired_maps(context, self.name, tuple(f"{stage}.pre" for stage in stages), tokens=True)
        ((student, teacher),) = paired_vectors(context, self.name, ("pooled",))
        levels = [(ours, theirs) for (ours, _), (_, theirs) in zip(own, before, strict=True)]
        return ReviewKD(self, stages, [*levels, ((*student, 1, 1), (*teacher, 1, 1))]).on_maps(context)


class ReviewKD(FeatureMethod):
    """Terms ``hard`` and ``reviewkd``: the student's stages, each joined with all deeper ones, against the teacher's.

    The student's features are those after their activation, the teacher's those before it.
    """

    def __init__(self, settings: ReviewKDSettings, stages: tuple[str, ...], levels: list[tuple[Shape, Shape]]) -> None:
        before = tuple(f"{stage}.pre" for stage in stages)
        super().__init__(settings, (*stages, *before, "pooled"), settings.warmup)
        self.student_taps, self.teacher_taps = (*stages, "pooled"), (*before, "pooled")
        width = min(MOST_CHANNELS, levels[-1][0][0])
        self.fusions = nn.ModuleList(
            AttentionFusion(student[0], width, teacher[0], (teacher[1], teacher[2]), deepest=level == len(levels))
            for level, (student, teacher) in enumerate(levels, start=1)
        )

    def compare(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        """The hierarchical context loss, summed over the stages and the pooled feature."""
        fused: list[Tensor] = []
        deeper: Tensor | None = None
        for tap, fusion in zip(reversed(self.student_taps), reversed(self.fusions), strict=True):
            feature, deeper = fusion(_as_map(student.taps[tap]), deeper)
            fused.insert(0, feature)
        return hcl_loss(fused, [_as_map(teacher.taps[tap]) for tap in self.teacher_taps])


def _as_map(feature: Tensor) -> Tensor:
    """Vectors (N, D) as maps (N, D, 1, 1)."""
    return feature[:, :, None, None] if feature.ndim == 2 else feature
