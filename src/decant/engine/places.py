"""Where things are on this machine. A recipe knows none of it, so that the same recipe means the same everywhere."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Places:
    """Folders and device of a run.

    Attributes:
        teachers: where trained teachers are kept and found again.
        data: folder of the data sets on disk, or the folder or table of pictures; None where the data needs none.
        device: "auto", "cpu" or "cuda".
        download: whether a missing data set may be downloaded into ``data``.
        table_on_device: whether the table of a teacher's logits is kept whole on the device, where a recipe asks for
            one; else it is read from the file.
        workers: processes that read pictures; 0 for this one. They change no batch.
        cache: where what a check of pictures found is kept; None for a folder beside the teachers.
        keep: how many of the newest resume states are kept while a run lasts.
        shard: whether several processes divide student and teacher among them rather than each hold a copy.
        unlabelled: folder of pictures without a label, for recipes whose ``data.unlabelled`` asks for them.
        track: services that are told the numbers of every epoch: "tensorboard", "wandb", "mlflow".
    """

    teachers: Path
    data: Path | None = None
    device: str = "auto"
    download: bool = False
    table_on_device: bool = False
    workers: int = 0
    cache: Path | None = None
    keep: int = 2
    shard: bool = False
    unlabelled: Path | None = None
    track: tuple[str, ...] = ()

    @property
    def tables(self) -> Path:
        """Where tables of teachers' logits are kept; every folder in it may be deleted, and is filled again."""
        return self.teachers / "views"

    @property
    def tracked(self) -> Path:
        """Where trackers keep files of their own; never in a run folder."""
        return self.teachers.parent / "tracked"

    @property
    def checks(self) -> Path:
        """Where what checks of pictures found is kept; every file in it may be deleted, and is made again."""
        return self.cache if self.cache is not None else self.teachers / "checks"
