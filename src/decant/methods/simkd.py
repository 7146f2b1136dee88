"""Reusing the teacher's classifier (Chen, Mei, Zhang, Wang, Feng, Chen 2022, arXiv:2203.14001)."""

import copy
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, cast

import torch.nn.functional as F
from torch import Tensor, nn

from decant.interfaces import Batch, BuildContext, Outputs
from decant.losses.features import at_one_size
from decant.methods.adapters import projector
from decant.methods.checks import require_weights, require_whole
from decant.methods.classifiers import exchanged, linear_classifier, map_shapes
from decant.methods.feature_method import FeatureMethod
from decant.methods.source import Source


@dataclass(frozen=True)
class SimKDSettings:
    """Settings of :class:`SimKD`: ``task_weight`` CE + ``weight`` MSE of the last maps; the paper's defaults."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}
    source: ClassVar[Source] = Source(2022, "arXiv:2203.14001")

    name: Literal["simkd"] = "simkd"
    task_weight: float = 0.0
    weight: float = 1.0
    factor: int = 2
    """How many times narrower than the teacher's last map the projector is inside."""

    def __post_init__(self) -> None:
        """Refuse values that no training can use."""
        require_weights(task_weight=self.task_weight, weight=self.weight)
        require_whole(1, factor=self.factor)

    def build(self, context: BuildContext) -> "SimKD":
        """The method, with a projector between the shapes of the last maps, and a copy of the teacher's classifier."""
        student, teacher = map_shapes(context, self.name)
        if self.factor > teacher[0]:
            raise ValueError(f"factor divides the channels of the teacher's last map, {teacher[0]}, got {self.factor}")
        place, _ = linear_classifier(context, "student", self.name)
        _, classifier = linear_classifier(context, "teacher", self.name)
        size = min(student[1], teacher[1]), min(student[2], teacher[2])
        fit = size if student[1:] != size else None
        bridge = projector(student[0], teacher[0], self.factor)
        taken = copy.deepcopy(classifier).requires_grad_(False)
        return SimKD(self, Head(context.student_taps["map"], fit, bridge, place, taken))


class Head(NamedTuple):
    """What a student gets: modules that follow the one at ``map``, and another classifier at ``place``."""

    map: str
    fit: tuple[int, int] | None
    """Height and width to which the map is pooled before it is projected; None where it has them."""
    projector: nn.Sequential
    place: str
    classifier: nn.Linear

    def put_into(self, student: nn.Module) -> nn.Module:
        """The student with these modules; all other layers are those of the given one."""
        follow = OrderedDict[str, nn.Module](given=student.get_submodule(self.map))
        if self.fit is not None:
            follow["fit"] = nn.AdaptiveAvgPool2d(self.fit)
        follow["projector"] = self.projector
        return exchanged(student, {self.map: nn.Sequential(follow), self.place: self.classifier})

    def to_dict(self) -> dict[str, Any]:
        """Plain values from which :func:`head_from` makes a head of the same shape."""
        first, middle, classifier = (
            cast(nn.Conv2d, self.projector[0]),
            cast(nn.Conv2d, self.projector[3]),
            self.classifier,
        )
        return {
            "map": self.map,
            "fit": self.fit,
            "projector": [first.in_channels, classifier.in_features, classifier.in_features // middle.in_channels],
            "place": self.place,
            "classifier": [classifier.in_features, classifier.out_features, classifier.bias is not None],
        }


def head_from(values: Mapping[str, Any]) -> Head:
    """A head of the shape that ``to_dict`` told, with fresh weights."""
    height_width = values["fit"]
    fit = (height_width[0], height_width[1]) if height_width is not None else None
    return Head(values["map"], fit, projector(*values["projector"]), values["place"], nn.Linear(*values["classifier"]))


class SimKD(FeatureMethod):
    """Terms ``hard`` (nats; weight 0) and ``simkd``: mean square between the last maps, the student's projected.

    The student that is trained, evaluated and saved has the projector after its last map and, in the place of its
    classifier, the teacher's, which stays as it is.
    """

    def __init__(self, settings: SimKDSettings, head: Head) -> None:
        super().__init__(settings, ("map",))
        # In a tuple, so that torch does not take it for a part of the method: it becomes one of the student.
        self._head = (head,)

    def deployed(self, student: nn.Module) -> nn.Module:
        """The student with the projector and the teacher's classifier; all other layers are those of the given one."""
        (head,) = self._head
        return head.put_into(student)

    def deployed_parts(self) -> dict[str, Any]:
        """The shapes of the projector and of the classifier, and where they are."""
        (head,) = self._head
        return {"simkd": head.to_dict()}

    def compare(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        """The mean square, over samples, channels and positions."""
        return F.mse_loss(*at_one_size(student.taps["map"], teacher.taps["map"]))
