"""Folders of small pictures, made for a test."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image


def save(path: Path, *, seed: int, size: tuple[int, int] = (20, 16), mode: str = "RGB") -> Path:
    """A picture of smooth noise, which survives resizing and compression."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).convert(mode).save(path)
    return path


def folder(root: Path, counts: Mapping[str, int], *, size: tuple[int, int] = (20, 16)) -> Path:
    """``counts`` pictures in each of these folders; those of a class look alike."""
    for number, (name, count) in enumerate(counts.items()):
        (root / name).mkdir(parents=True)
        for place in range(count):
            save(root / name / f"{place:03}.png", seed=1000 * number + place % 2, size=size)
    return root
