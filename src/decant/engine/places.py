"""Where things are on this machine. A recipe knows none of it, so that the same recipe means the same everywhere."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Places:
    """Folders and device of a run.

    Attributes:
        teachers: where trained teachers are kept and found again.
        data: folder of the data sets on disk; None where the data needs none.
        device: "auto", "cpu" or "cuda".
        download: whether a missing data set may be downloaded into ``data``.
    """

    teachers: Path
    data: Path | None = None
    device: str = "auto"
    download: bool = False
