"""Methods made for the tests of the Distiller, and the small networks that they run on."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from decant import Distiller
from decant.interfaces import Batch, BuildContext, Method, Outputs

FEATURES, CLASSES = 6, 4


class Hint(Method):
    """Cross-entropy, and the mean square between a bridged student feature and the teacher's."""

    taps = ("hidden",)

    def __init__(self, student: int, teacher: int) -> None:
        super().__init__()
        self.bridge = nn.Linear(student, teacher)

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        assert batch.target is not None
        hint = F.mse_loss(self.bridge(student.taps["hidden"]), teacher.taps["hidden"])
        return {"hard": F.cross_entropy(student.logits, batch.target), "hint": hint}

    def weights(self, epoch: float) -> dict[str, float]:
        return {"hard": 1.0, "hint": 10.0}


@dataclass(frozen=True)
class HintSettings:
    name: str = "hint"

    def build(self, context: BuildContext) -> Hint:
        assert context.student_shapes is not None
        assert context.teacher_shapes is not None
        (student,), (teacher,) = context.student_shapes.taps["hidden"], context.teacher_shapes.taps["hidden"]
        return Hint(student, teacher)


class TwoViews(Method):
    """The mean square between the logits on two views, each against the teacher's answer to it."""

    views = 2

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        pairs = zip((student, *student.more), (teacher, *teacher.more), strict=True)
        return {str(view): F.mse_loss(s.logits, t.logits) for view, (s, t) in enumerate(pairs)}

    def weights(self, epoch: float) -> dict[str, float]:
        return {"0": 1.0, "1": 1.0}


class Remembers(Method):
    """Keeps the last batch that it saw."""

    batch: Batch

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        self.batch = batch
        return {"hard": student.logits.mean()}

    def weights(self, epoch: float) -> dict[str, float]:
        return {"hard": 1.0 + epoch}


def network(width: int, seed: int) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Linear(FEATURES, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.2), nn.Linear(width, CLASSES)
        )


def batch(size: int = 16) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(size, FEATURES, generator=generator), torch.arange(size) % CLASSES


def state(module: nn.Module) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in module.state_dict().items()}


def same(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


def train(distiller: Distiller, steps: int = 40) -> tuple[float, float]:
    """The loss before and after a plain loop."""
    optimizer = torch.optim.SGD(distiller.parameters(), lr=0.05)
    images, target = batch()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        before = distiller.eval()(images, target, epoch=50.0).loss.item()
        distiller.train()
        for _ in range(steps):
            loss = distiller(images, target, epoch=50.0).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return before, distiller.eval()(images, target, epoch=50.0).loss.item()


def hinting(student: nn.Module, teacher: nn.Module, path: str = "2") -> Distiller:
    taps = {"hidden": path}
    return Distiller(student, teacher, HintSettings(), student_taps=taps, teacher_taps=taps, example=batch()[0])
