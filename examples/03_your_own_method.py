"""A method of your own in one file: DKD that listens to the teacher only as far as the teacher is right.

In a loop of your own, as below:   python examples/03_your_own_method.py
By a recipe that names this file:  decant train examples/03_your_own_method.toml --trust-code

Wherever the teacher's first choice is not the label, both parts of DKD count `wrong` times as much (0: not at all).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from decant import Batch, BuildContext, Distiller, Method, Outputs, dkd_terms


# The settings: what a recipe may say under [method], each with its type and its one default. A recipe names this class.
@dataclass(frozen=True)
class CheckedDKDSettings:
    name: str = "checked-dkd"
    task_weight: float = 1.0
    alpha: float = 1.0
    beta: float = 2.0
    temperature: float = 4.0
    wrong: float = 0.0

    def __post_init__(self) -> None:
        # Refused when the recipe is read, not hours later.
        if not 0 <= self.wrong <= 1:
            raise ValueError(f"wrong is a share from 0 to 1, got {self.wrong}")

    # `context` has both networks, the shapes of their features, and facts about the training set.
    def build(self, context: BuildContext) -> Method:
        return CheckedDKD(self)


# The method: raw terms, and how they add up. Learnable parts would be submodules, made in __init__.
class CheckedDKD(Method):
    def __init__(self, settings: CheckedDKDSettings) -> None:
        super().__init__()
        self.settings = settings

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        assert batch.target is not None, "this method needs labels"
        terms = dkd_terms(
            student.logits, teacher.logits, batch.target, temperature=self.settings.temperature, reduction="none"
        )
        right = teacher.logits.argmax(dim=1) == batch.target
        trust = torch.where(right, 1.0, self.settings.wrong)
        hard = F.cross_entropy(student.logits, batch.target)
        return {"hard": hard, "tckd": (trust * terms.tckd).mean(), "nckd": (trust * terms.nckd).mean()}

    # `epoch` counts completed epochs: a warm-up would go here.
    def weights(self, epoch: float) -> dict[str, float]:
        return {"hard": self.settings.task_weight, "tckd": self.settings.alpha, "nckd": self.settings.beta}


# Only where this file is run, not where a recipe takes the method from it.
if __name__ == "__main__":
    from decant.data import DataSettings, load, plain_batches
    from decant.models import create

    splits = load(DataSettings(name="digits"))
    images, labels = next(plain_batches(splits.train, splits.train.size)).images[0], splits.train.target
    tests, answers = next(plain_batches(splits.test, splits.test.size)).images[0], splits.test.target

    def train(role: str, distiller: Distiller) -> None:
        optimizer = torch.optim.SGD(distiller.parameters(), lr=0.1, momentum=0.9)
        for _ in range(5):
            for part in torch.randperm(len(labels)).split(40):
                loss, _, _ = distiller(images[part], labels[part])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        with torch.no_grad():
            right = (distiller.deployed().eval()(tests).argmax(1) == answers).float().mean()
        print(f"{role}: {right:.1%} of {len(answers)} test digits")

    torch.manual_seed(0)
    teacher, student = create("digits_teacher", num_classes=10), create("digits_student", num_classes=10)
    train("teacher", Distiller(teacher, None, "supervised"))
    train("student", Distiller(student, teacher, CheckedDKDSettings(wrong=0.1)))
