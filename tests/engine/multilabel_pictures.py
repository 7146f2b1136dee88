"""Pictures with any number of classes, made for a test: each class is a corner that is lit."""

from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("left", "right", "top")


def lit_pictures(folder: Path, count: int = 48) -> Path:
    """A table of path,label with labels such as ``left|top``, or none."""
    generator = np.random.default_rng(0)
    lines = ["path,label"]
    folder.mkdir(parents=True)
    for place in range(count):
        has = [bool(place >> bit & 1) for bit in range(3)]
        pixels = generator.integers(0, 60, (12, 12, 3), dtype=np.uint8)
        for lit, (rows, columns, colour) in zip(
            has,
            ((slice(None), slice(0, 4), 0), (slice(None), slice(8, 12), 1), (slice(0, 4), slice(None), 2)),
            strict=True,
        ):
            if lit:
                pixels[rows, columns, colour] += 180
        Image.fromarray(pixels).save(folder / f"{place}.png")
        lines.append(f"{place}.png,{'|'.join(name for name, lit in zip(CLASSES, has, strict=True) if lit)}")
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    return folder / "table.csv"
