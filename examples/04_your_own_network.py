"""Two networks of your own, loaders of your own, and one call: a wide digit classifier teaches a narrow one.

    python examples/04_your_own_network.py

Neither network knows of Decant. `distill` takes any module from images to logits, and anything that gives batches of
images and class indices. For pictures in a folder there is a command: `decant distill`. One seed: an example of the
calls, not evidence for anything.
"""

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from decant import DKDSettings, MethodSettings, SupervisedSettings, distill
from decant.data import DataSettings, load, plain_batches


class Wide(nn.Module):
    """A convolution, a hidden layer, a classifier."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.see = nn.Sequential(nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
        self.think = nn.Sequential(nn.Linear(16 * width, 4 * width), nn.ReLU())
        self.say = nn.Linear(4 * width, 10)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.say(self.think(self.see(images)))
        return logits


class Narrow(nn.Sequential):
    """A single hidden layer of a few units."""

    def __init__(self, width: int) -> None:
        super().__init__(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))


def loader(part: str, per_class: int | None = None) -> DataLoader[tuple[Tensor, ...]]:
    """Digits as normalised tensors in a plain torch loader; here your own would stand."""
    images = getattr(load(DataSettings(name="digits", train_per_class=per_class)), part)
    batch = next(plain_batches(images, images.size))
    shuffled = torch.Generator().manual_seed(0)
    return DataLoader(TensorDataset(batch.images[0], images.target), 40, shuffle=part == "train", generator=shuffled)


everything, few, val = loader("train"), loader("train", per_class=10), loader("test")

torch.manual_seed(0)
teacher = Wide(16)
trained = distill(None, teacher, everything, val, SupervisedSettings(), epochs=10)
print(f"teacher, all labels:        {trained.top1[-1]:.1f}%")

methods: dict[str, MethodSettings] = {"alone": SupervisedSettings(), "dkd": DKDSettings(beta=2.0, warmup=0)}
for name, method in methods.items():
    torch.manual_seed(1)  # the same start for both
    student = Narrow(16)
    made = distill(teacher, student, few, val, method, epochs=60)
    print(f"student, 100 labels, {name + ':':7}{made.top1[-1]:.1f}%")
