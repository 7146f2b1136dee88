"""Generalised decoupled knowledge distillation (Zheng, Cheng 2025, arXiv:2512.04625)."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from decant.interfaces import BuildContext
from decant.losses import gdkd_terms
from decant.methods.checks import require_temperature, require_warmup, require_weights, require_whole
from decant.methods.logit_method import LogitMethod
from decant.methods.source import Source


@dataclass(frozen=True)
class GDKDSettings:
    """Settings of :class:`GDKD`: ``task_weight`` CE and the three parts, each with a weight of its own.

    The defaults are those of the authors' code for CIFAR-100.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}
    source: ClassVar[Source] = Source(2025, "arXiv:2512.04625")

    name: Literal["gdkd"] = "gdkd"
    task_weight: float = 1.0
    bucket_weight: float = 1.0
    """Weight of how much goes to the teacher's first classes."""
    top_weight: float = 2.0
    """Weight of how that divides among them."""
    rest_weight: float = 8.0
    """Weight of how the rest divides."""
    k: int = 5
    """How many classes are the first."""
    temperature: float = 4.0
    warmup: int = 20
    """Epochs over which the three weights rise linearly to their values; 0 for none."""

    def __post_init__(self) -> None:
        """Refuse values that no training can use."""
        require_weights(task_weight=self.task_weight, bucket_weight=self.bucket_weight)
        require_weights(top_weight=self.top_weight, rest_weight=self.rest_weight)
        require_whole(1, k=self.k)
        require_temperature(self.temperature)
        require_warmup(self.warmup)

    def build(self, context: BuildContext) -> "GDKD":
        """The method; of the context it only asks whether there are more than ``k`` classes."""
        shapes = context.student_shapes
        if shapes is not None and self.k >= shapes.logits[0]:
            raise ValueError(f"gdkd splits the classes after the first k {self.k}, but there are {shapes.logits[0]}")
        return GDKD(self)


class GDKD(LogitMethod):
    """Terms ``hard``, ``buckets``, ``top`` and ``rest`` (T^2 included), all in nats."""

    def __init__(self, settings: GDKDSettings) -> None:
        weights = {"buckets": settings.bucket_weight, "top": settings.top_weight, "rest": settings.rest_weight}
        super().__init__(settings.task_weight, weights, settings.warmup)
        self.settings = settings

    def compare(self, student: Tensor, teacher: Tensor, target: Tensor | None) -> dict[str, Tensor]:
        """The three parts; no label takes part."""
        return gdkd_terms(student, teacher, k=self.settings.k, temperature=self.settings.temperature)._asdict()
