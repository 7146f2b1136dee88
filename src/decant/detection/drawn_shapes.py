"""Drawn pictures of coloured shapes: objects that a detector can learn in a minute, without any file."""

import torch
from torch import Tensor

from decant.data.counter import MAX_SEED, counter_hash
from decant.detection.picture_set import Objects, PictureSet

SHAPES = ("disc", "square", "triangle", "ring")
_COLOURS = {"red": (0.9, 0.2, 0.2), "green": (0.2, 0.7, 0.3), "blue": (0.2, 0.3, 0.9)}
CLASSES = tuple(f"{colour} {shape}" for colour in _COLOURS for shape in SHAPES)
_LEAST, _MOST = 14, 36


def draw_shapes(pictures: int, *, seed: int, pixels: int = 96, name: str = "shapes") -> PictureSet:
    """Pictures of one to three shapes in three colours on a noisy ground; every tenth has none.

    A shape may hide part of another; shape and colour together are its class, so that classes resemble each other.

    >>> drawn = draw_shapes(2, seed=0)
    >>> len(drawn), drawn[1][0].shape, len(drawn.classes)
    (2, torch.Size([3, 96, 96]), 12)
    """
    made = [_draw(seed, number, pixels) for number in range(pictures)]
    return PictureSet(
        name,
        CLASSES,
        tuple(image for image, _ in made),
        ((pixels, pixels),) * pictures,
        tuple(each for _, each in made),
    )


def _draw(seed: int, number: int, pixels: int) -> tuple[Tensor, Objects]:
    generator = torch.Generator().manual_seed(int(counter_hash(seed, "shapes", number)) & MAX_SEED)

    def below(bound: int) -> int:
        return int(torch.randint(bound, (1,), generator=generator))

    image = (
        0.35 + 0.3 * torch.rand(3, 1, 1, generator=generator) + 0.1 * torch.rand(3, pixels, pixels, generator=generator)
    )
    boxes, labels = [], []
    for _ in range(0 if number % 10 == 9 else 1 + below(3)):
        side, kind = _LEAST + below(_MOST - _LEAST), below(len(CLASSES))
        left, top = below(pixels - side), below(pixels - side)
        colour = torch.tensor(list(_COLOURS.values())[kind // len(SHAPES)])[:, None]
        inside = _mask(SHAPES[kind % len(SHAPES)], side)
        spot = image[:, top : top + side, left : left + side]
        spot[:, inside] = colour + 0.1 * torch.rand(3, int(inside.sum()), generator=generator)
        boxes.append([float(left), float(top), float(side), float(side)])
        labels.append(kind + 1)
    return (image.clamp(0, 1) * 255).to(torch.uint8), Objects.of(boxes, labels)


def _mask(shape: str, side: int) -> Tensor:
    """Which pixels of a square of this side the shape covers; it touches all four sides."""
    rows, columns = torch.meshgrid(torch.arange(side) + 0.5, torch.arange(side) + 0.5, indexing="ij")
    radius = ((rows - side / 2) ** 2 + (columns - side / 2) ** 2).sqrt() / (side / 2)
    if shape == "disc":
        return radius <= 1
    if shape == "ring":
        return (radius <= 1) & (radius >= 0.55)
    if shape == "triangle":
        return (columns - side / 2).abs() <= rows / 2
    return torch.ones(side, side, dtype=torch.bool)
