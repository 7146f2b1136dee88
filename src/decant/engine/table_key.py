"""What a table of teacher logits is of: the name under which it is found, and what it refuses to be mistaken for."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch

from decant.engine.table_entry import Entry, EveryLogit, LargestLogits

_TYPES = {"fp16": torch.float16, "fp32": torch.float32}


@dataclass(frozen=True)
class TableKey:
    """All that decides an entry but for the rounding of the machine: equal keys, equal entries.

    Attributes:
        teacher: the network's name.
        sha256: digest of its weights' file.
        folded: how many of its BatchNorms are folded into the layers before them.
        data: fingerprint of the images.
        samples: how many they are.
        image: channels, height and width of one.
        padding: of the crops, in pixels.
        flip: whether half of the views are mirrored.
        mean: per channel, of the normalisation.
        std: per channel, of the normalisation.
        views: views of an image.
        classes: logits of an entry.
        type: of an entry's numbers, "fp16" or "fp32".
        precision: of the teacher's arithmetic.
        channels_last: memory layout of the teacher and its images.
        rows: images of the teacher's forward pass, always the same number.
        format: version of the files.
        top: logits of an entry that are kept, the target's among them; None for all.
        temperature: at which the mass of the others is kept; None where all are.
    """

    teacher: str
    sha256: str
    folded: int
    data: str
    samples: int
    image: tuple[int, ...]
    padding: int
    flip: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]
    views: int
    classes: int
    type: Literal["fp16", "fp32"]
    precision: str
    channels_last: bool
    rows: int
    format: int = 1
    top: int | None = None
    temperature: float | None = None

    @property
    def entry(self) -> Entry:
        """How the logits of an entry lie in it."""
        if self.top is None or self.temperature is None:
            return EveryLogit(self.classes, _TYPES[self.type])
        return LargestLogits(self.classes, _TYPES[self.type], self.top, self.temperature)

    @property
    def entries(self) -> int:
        """Entries of the whole table."""
        return self.samples * self.views

    @property
    def entry_bytes(self) -> int:
        """Bytes of an entry."""
        return self.entry.bytes

    @property
    def bytes(self) -> int:
        """Bytes of the whole table, entries and bits."""
        return self.entries * self.entry_bytes + -(-self.entries // 8)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, without what is None: a table that was made before a setting was known is found again."""
        values = {name: value for name, value in asdict(self).items() if value is not None}
        return dict(json.loads(json.dumps(values)))

    @property
    def folder_name(self) -> str:
        """``resnet56-`` and a hash of everything here."""
        digest = hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()
        return f"{self.teacher.replace('/', '-')}-{digest[:12]}"
