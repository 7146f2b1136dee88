"""The other classes alone: the second half of decoupled distillation, whole or in part (2022, arXiv:2203.08679)."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor

from decant.interfaces import BuildContext
from decant.losses import dkd_terms
from decant.methods.checks import require_flag, require_temperature, require_warmup, require_weights
from decant.methods.logit_method import LogitMethod
from decant.methods.source import Source

Samples = Literal["all", "confident", "unsure"]


@dataclass(frozen=True)
class NCKDSettings:
    """Settings of :class:`NCKD`: ``task_weight`` CE + ``weight`` NCKD.

    With ``suppress`` it is what classical distillation does with the other classes, which is less the surer the teacher
    is; ``samples`` asks what each half of the batch is worth. The defaults are those of dkd without its first half.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}
    source: ClassVar[Source] = Source(2022, "arXiv:2203.08679")

    name: Literal["nckd"] = "nckd"
    task_weight: float = 1.0
    weight: float = 8.0
    temperature: float = 4.0
    suppress: bool = False
    """Whether a sample counts 1 - p_t instead of 1, as in classical distillation."""
    samples: Samples = "all"
    """"confident" and "unsure" are the halves of each batch of which the teacher is surer and less sure."""
    warmup: int = 20
    """Epochs over which ``weight`` rises linearly to its value; 0 for none."""

    def __post_init__(self) -> None:
        """Refuse values that no training can use."""
        require_weights(task_weight=self.task_weight, weight=self.weight)
        require_temperature(self.temperature)
        require_warmup(self.warmup)
        require_flag(suppress=self.suppress)
        if self.samples not in get_args(Samples):
            raise ValueError(f"samples is one of {', '.join(get_args(Samples))}, got {self.samples!r}")

    def build(self, context: BuildContext) -> "NCKD":
        """The method; it needs nothing of the context."""
        return NCKD(self)


class NCKD(LogitMethod):
    """Terms ``hard`` (cross-entropy) and ``nckd`` (T^2 included), both in nats.

    ``nckd`` is the sum over the samples that count, each times its factor, divided by the size of the batch: the two
    halves of a batch add up to the whole, and TCKD plus the suppressed NCKD are classical distillation.
    """

    def __init__(self, settings: NCKDSettings) -> None:
        super().__init__(settings.task_weight, {"nckd": settings.weight}, settings.warmup)
        self.settings = settings
        self.gather = settings.samples != "all"  # a half is one of the whole batch
        self.one_class = settings.suppress or self.gather

    def compare(self, student: Tensor, teacher: Tensor, target: Tensor | None) -> dict[str, Tensor]:
        """The term of these logits.

        Raises:
            ValueError: labels that are probabilities, where a sample's factor depends on its class.
        """
        settings = self.settings
        whole = settings.samples == "all" and not settings.suppress
        if whole:
            return {"nckd": dkd_terms(student, teacher, target, temperature=settings.temperature).nckd}
        if target is not None and target.is_floating_point():
            raise ValueError(
                "nckd with suppress or on a half of the samples asks how sure the teacher is of the one target class, "
                f"so it needs class indices (N,); got {target.dtype} labels {tuple(target.shape)}"
            )
        terms = dkd_terms(student, teacher, target, temperature=settings.temperature, reduction="none")
        log_sureness = _log_sureness(teacher, target, settings.temperature)
        factor = -torch.expm1(log_sureness) if settings.suppress else torch.ones_like(log_sureness)
        if settings.samples != "all":
            factor = factor * _half(log_sureness, surer=settings.samples == "confident")
        return {"nckd": (factor * terms.nckd).mean()}


def _log_sureness(teacher: Tensor, target: Tensor | None, temperature: float) -> Tensor:
    """log p_t of every sample, (N,), in nats; without labels of the teacher's own choice."""
    kind = torch.float64 if teacher.dtype == torch.float64 else torch.float32
    logits = teacher.detach().to(kind)
    indices = logits.argmax(1) if target is None else target.long()
    return (logits / temperature).log_softmax(1).gather(1, indices[:, None]).squeeze(1)


def _half(sureness: Tensor, *, surer: bool) -> Tensor:
    """1 for the half of the samples, 0 for the others, (N,); the middle one of an odd number is among the surer."""
    order = sureness.argsort(descending=True, stable=True)
    middle = (len(order) + 1) // 2
    counted = torch.zeros_like(sureness)
    counted[order[:middle] if surer else order[middle:]] = 1
    return counted
