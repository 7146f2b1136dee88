"""Which pictures a step sees, and reading them while the step before is still at work."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms

from decant.data.counter import MAX_SEED, counter_hash, draw_below
from decant.detection.picture_set import PictureSet

_READERS, _AHEAD = 4, 3
"""Threads that decode pictures, and how many batches they are ahead of the training."""

Batch = list[tuple[int, int]]
Shown = tuple[Tensor, dict[str, Tensor]]


@dataclass(frozen=True)
class PictureBatch:
    """What one training step sees.

    Attributes:
        images: (3, H, W) in 0..1, one per picture.
        targets: ``boxes`` and ``labels`` of each.
        index: position of each picture in its set, (N,), int64.
        epoch: epochs completed when this batch is met.
    """

    images: tuple[Tensor, ...]
    targets: tuple[dict[str, Tensor], ...]
    index: Tensor
    epoch: float


class PictureSupply:
    """The batches of a run: shuffled passes over the pictures, one after another, cut into epochs of equal length.

    What a picture looks like in a pass depends on (seed, pass, picture) alone, so that a resumed run sees what the
    undisturbed one saw.

    Args:
        pictures: what is trained on.
        batch_size: pictures per batch, over all processes.
        epoch_steps: batches of an epoch; None for as many as show every picture once.
        flip: mirror left and right with probability 1/2.
        seed: of order and mirror images.
        rank: number of this process.
        world: number of processes.

    Raises:
        ValueError: no pictures, or a batch size that the processes cannot share.
    """

    def __init__(
        self,
        pictures: PictureSet,
        *,
        batch_size: int,
        epoch_steps: int | None,
        flip: bool,
        seed: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if not len(pictures):
            raise ValueError(f"{pictures.name}: there are no pictures to train on")
        if batch_size % world:
            raise ValueError(
                f"train.batch_size is over all processes and must divide by their number: {batch_size} over {world}"
            )
        self.pictures, self.batch_size = pictures, batch_size
        self.steps = epoch_steps if epoch_steps is not None else -(-len(pictures) // batch_size)
        self._flip, self._seed, self._rank, self._world = flip, seed, rank, world
        self._pass = (-1, torch.empty(0, dtype=torch.int64))

    def order(self, epoch: int) -> Iterator[Batch]:
        """The batches of an epoch on this process, each a list of (pass, position of the picture)."""
        own = self.batch_size // self._world
        for step in range(epoch * self.steps, (epoch + 1) * self.steps):
            first = step * self.batch_size + self._rank * own
            yield [self._at(position) for position in range(first, first + own)]

    def batches(self, epoch: int, device: torch.device, start: int = 0) -> Iterator[PictureBatch]:
        """The batches of an epoch on this process, but for so many first ones, on the device."""
        order = islice(self.order(epoch), start, None)
        with ThreadPoolExecutor(_READERS, thread_name_prefix="pictures") as readers:

            def reading(batches: Iterable[Batch]) -> Iterator[tuple[Batch, list[Future[Shown]]]]:
                for batch in batches:
                    yield batch, [readers.submit(self._shown, *each) for each in batch]

            waiting = deque(reading(islice(order, _AHEAD)))
            for step in range(start, self.steps):
                batch, pending = waiting.popleft()
                shown = [picture.result() for picture in pending]
                waiting.extend(reading(islice(order, 1)))
                yield PictureBatch(
                    images=tuple(image.to(device).float() / 255 for image, _ in shown),
                    targets=tuple({key: value.to(device) for key, value in target.items()} for _, target in shown),
                    index=torch.tensor([index for _, index in batch], device=device),
                    epoch=epoch + step / self.steps,
                )

    def _at(self, position: int) -> tuple[int, int]:
        number, place = divmod(position, len(self.pictures))
        return number, int(self._permutation(number)[place])

    def _permutation(self, number: int) -> Tensor:
        """The order of a pass; the last one is remembered."""
        if self._pass[0] != number:
            # Hashed together with a name: the stream is another one than initialisation's under the same seed.
            generator = torch.Generator().manual_seed(int(counter_hash(self._seed, "pictures", number)) & MAX_SEED)
            self._pass = (number, torch.randperm(len(self.pictures), generator=generator))
        return self._pass[1]

    def _shown(self, number: int, index: int) -> Shown:
        """The picture as it looks in this pass, and its target; plain tensors."""
        image, target = self.pictures[index]
        boxes = target["boxes"]
        if self._flip and int(draw_below(2, self._seed, "mirror", number, index)):
            image, boxes = transforms.horizontal_flip(image), transforms.horizontal_flip(boxes)
        return image.as_subclass(Tensor), {"boxes": boxes.as_subclass(Tensor), "labels": target["labels"]}
