"""A teacher and its students in a plain PyTorch loop, on real handwritten digits, in under a minute on a CPU.

    python examples/02_train_in_a_minute.py

The teacher sees the labels of all 1,197 training digits, the students those of 200. One seed: an example of the calls,
not evidence for anything; `decant compare` is for that.
"""

import torch
from torch import nn

from decant import Distiller, DKDSettings, KDSettings, MethodSettings, SupervisedSettings
from decant.data import DataSettings, ImageSet, load, plain_batches
from decant.models import create


def train(student: nn.Module, teacher: nn.Module | None, method: MethodSettings, data: ImageSet, epochs: int) -> float:
    """Train the student; returns its accuracy on the 600 test digits, in percent."""
    distiller = Distiller(student, teacher, method)
    optimizer = torch.optim.SGD(distiller.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    images, target = whole(data)
    for _ in range(epochs):
        for part in torch.randperm(data.size).split(40):
            loss, _, _ = distiller(images[part], target[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    student.eval()
    images, target = whole(test)
    with torch.no_grad():
        return 100 * float((student(images).argmax(1) == target).float().mean())


def whole(data: ImageSet) -> tuple[torch.Tensor, torch.Tensor]:
    """All of a small set at once: normalised images, and labels."""
    batch = next(plain_batches(data, data.size))
    return batch.images[0], data.target


torch.manual_seed(0)
few = load(DataSettings(name="digits", train_per_class=20)).train
splits = load(DataSettings(name="digits"))
test = splits.test

teacher = create("digits_teacher", num_classes=10)
print(f"teacher, all labels:  {train(teacher, None, SupervisedSettings(), splits.train, epochs=8):.1f}%")
methods: dict[str, MethodSettings] = {
    "alone": SupervisedSettings(),
    "kd": KDSettings(),
    "dkd": DKDSettings(beta=2.0, warmup=0),
}
for name, settings in methods.items():
    torch.manual_seed(1)  # the same start and the same order for each
    student = create("digits_student", num_classes=10)
    accuracy = train(student, None if name == "alone" else teacher, settings, few, epochs=60)
    print(f"student, 200 labels, {name + ':':6} {accuracy:.1f}%")
