"""Scale-decoupled distillation (Wei, Luo, Luo 2024, arXiv:2403.13512)."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from decant.interfaces import Batch, BuildContext, Method, Outputs
from decant.losses import dkd_loss, kd_loss, nkd_loss, region_means, sdd_terms
from decant.methods.checks import require_scales, require_temperature, require_warmup, require_weights
from decant.methods.classifiers import linear_classifier
from decant.methods.source import Source
from decant.methods.task import hard_loss, taught_target
from decant.methods.warmup import linear_warmup

_ROUNDING = 0.05
"""Relative deviation of logits that a half type or a folded BatchNorm may cause; another classifier's is around 1."""


@dataclass(frozen=True)
class SDDSettings:
    """Settings of :class:`SDD`: ``task_weight`` CE + ``weight`` (consistent + ``complementary_weight`` complementary).

    The defaults are those of the authors' code for DKD on CIFAR-100. For KD both weights are 0.1 and 0.9 there, without
    a warm-up; for NKD gamma is 8.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}
    source: ClassVar[Source] = Source(2024, "arXiv:2403.13512")

    name: Literal["sdd"] = "sdd"
    base: Literal["kd", "dkd", "nkd"] = "dkd"
    """The loss of every region."""
    task_weight: float = 1.0
    weight: float = 1.0
    complementary_weight: float = 2.0
    """Of regions on which the teacher is right and on the whole wrong, or the other way round; all others have 1."""
    scales: tuple[int, ...] = (1, 2, 4)
    """Grids of s x s regions, rising; the first is the whole."""
    alpha: float = 1.0
    """Of TCKD within dkd; the others have none."""
    beta: float = 8.0
    """Of NCKD within dkd; the others have none."""
    gamma: float = 1.5
    """Of the other classes within nkd; the others have none."""
    temperature: float = 4.0
    warmup: int = 20
    """Epochs over which ``weight`` rises linearly to its value; 0 for none."""

    def __post_init__(self) -> None:
        """Refuse values that no training can use."""
        if self.base not in ("kd", "dkd", "nkd"):
            raise ValueError(f"base is 'kd', 'dkd' or 'nkd', got {self.base!r}")
        require_weights(task_weight=self.task_weight, weight=self.weight)
        require_weights(complementary_weight=self.complementary_weight)
        require_weights(alpha=self.alpha, beta=self.beta, gamma=self.gamma)
        require_scales(self.scales)
        require_temperature(self.temperature)
        require_warmup(self.warmup)

    def build(self, context: BuildContext) -> "SDD":
        """The method, with both networks' classifiers."""
        _, student = linear_classifier(context, "student", self.name)
        _, teacher = linear_classifier(context, "teacher", self.name)
        return SDD(self, student, teacher)


class SDD(Method):
    """Terms ``hard``, ``consistent`` and ``complementary`` (nats, T^2 included).

    Args:
        settings: of the method.
        student: the classifier inside the student that is trained.
        teacher: the teacher's; its weights are taken as they are.
    """

    taps = ("map",)
    teacher_weight: Tensor
    teacher_bias: Tensor | None

    def __init__(self, settings: SDDSettings, student: nn.Linear, teacher: nn.Linear) -> None:
        super().__init__()
        self.settings = settings
        self.one_class = settings.base == "nkd"
        # In a tuple: it is the student's, trained and saved there. A copy of student and method together keeps it so.
        self._classifier = (student,)
        # Not saved: they come from the teacher again.
        for name, value in (("teacher_weight", teacher.weight), ("teacher_bias", teacher.bias)):
            self.register_buffer(name, None if value is None else value.detach().clone(), persistent=False)

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        """The terms of this batch."""
        settings = self.settings
        own, goal = (region_means(outputs.taps["map"], settings.scales).mT for outputs in (student, teacher))
        (classifier,) = self._classifier
        # (N, R, C), in which the classes lie next to each other -> (N, C, R)
        own, goal = classifier(own).mT, F.linear(goal, self.teacher_weight, self.teacher_bias).mT
        for role, regions, logits in (("student", own, student.logits), ("teacher", goal, teacher.logits)):
            _check(role, regions[..., 0], logits)
        # Of unlabelled samples, the teacher's choice on the whole is the target of every region.
        target = taught_target(goal[..., 0], batch)
        target = goal[..., 0].argmax(dim=1) if target is None else target
        losses = self._base(own, goal, target.unsqueeze(-1).expand(*target.shape, own.shape[2]))
        terms = sdd_terms(losses, goal, target)
        return {"hard": hard_loss(student, batch, settings.task_weight), **terms._asdict()}

    def weights(self, epoch: float) -> dict[str, float]:
        """The settings' weights, all but the task's times the warm-up."""
        settings = self.settings
        weight = settings.weight * linear_warmup(epoch, settings.warmup)
        return {
            "hard": settings.task_weight,
            "consistent": weight,
            "complementary": weight * settings.complementary_weight,
        }

    def _base(self, student: Tensor, teacher: Tensor, target: Tensor) -> Tensor:
        """The loss of every region, (N, R)."""
        of = self.settings
        if of.base == "kd":
            return kd_loss(student, teacher, temperature=of.temperature, reduction="none")
        if of.base == "nkd":
            return nkd_loss(student, teacher, target, gamma=of.gamma, temperature=of.temperature, reduction="none")
        return dkd_loss(
            student, teacher, target, alpha=of.alpha, beta=of.beta, temperature=of.temperature, reduction="none"
        )


@torch.no_grad()
def _check(role: str, whole: Tensor, logits: Tensor) -> None:
    """Refuse a network whose logits are something else than its classifier on the mean of its map."""
    same = (whole - logits).abs().amax() <= _ROUNDING * logits.abs().amax() + 1e-3
    # NaN logits are the business of the loss, which tells them by name.
    same = same | ~logits.isfinite().all()
    expected = (
        f"sdd classifies regions of the last map by the {role}'s classifier, but its logits are not that classifier on "
        "the mean of the map: name as tap 'map' what is averaged before it, and build the method from this very network"
    )
    if same.is_cuda or torch.compiler.is_compiling():
        torch._assert_async(same, expected)
    elif not same:
        raise ValueError(expected)
