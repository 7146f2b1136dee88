"""Teacher logits on disk by (sample, view number): written once, shared by runs and processes, safe under a kill.

Three files in a folder: ``table.json``, all that decides an entry; ``logits.bin``, the entries, sparse until they are
filled; ``filled.bin``, a bit per entry. Entries reach the disk before the bits that vouch for them, and a bit never
goes back. So whatever is lost with a process or a machine, it is never a wrong entry.
"""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from decant.engine.checkpoint import write_atomically, write_text
from decant.engine.estimate import size
from decant.engine.record import differences
from decant.engine.table_key import TableKey

TABLE_FILE, LOGITS_FILE, FILLED_FILE = "table.json", "logits.bin", "filled.bin"
ENVIRONMENTS_FILE = "environments.json"
_PIECE = 1 << 20
"""Entries that go to the device at once."""


class TeacherTable:
    """Logits (classes,) by entry number ``sample * views + view``; every number passes through the table's type.

    Several processes may have one folder open: each fills what it misses, and ``flush`` brings them together. Use it
    as a context manager, which flushes at the end.

    Args:
        folder: where the table is, or will be made.
        key: what decides its entries.
        device: where logits are wanted.
        on_device: keep all of it there, so that looking up needs no copy; else it is read through the page cache.
        environment: facts about the machine on which rounding may depend; kept beside what was filled there.
        say: told the size and the place before a table is made.

    Raises:
        FileExistsError: the folder holds a table with another key, or files that are no table's.
        ValueError: the table is damaged, or larger than the device's memory.
        OSError: less free disk than a new table may need.
    """

    def __init__(
        self,
        folder: Path,
        key: TableKey,
        *,
        device: torch.device | str = "cpu",
        on_device: bool = False,
        environment: Mapping[str, Any] | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.folder, self.key, self._device = folder, key, torch.device(device)
        self._environment = dict(environment or {})
        self._dirty = False
        self._logits_file, self._filled_file = folder / LOGITS_FILE, folder / FILLED_FILE
        if not (folder / TABLE_FILE).exists():
            self._refuse_a_lack_of_room()
            say(f"teacher table: {self._logits_file}, {size(key.bytes)} once it is full")
        folder.mkdir(parents=True, exist_ok=True)
        with self._lock():
            self._claim()
            self._filled = self._read_filled()
            self._environments = self._read_environments()
        # For reading alone: written through the mapping, a full disk would be a signal that kills.
        self._entries = np.memmap(self._logits_file, np.uint8, "r", shape=(key.entries, key.entry_bytes))
        self._resident: Tensor | None = None
        if on_device:
            try:
                self._resident = torch.zeros(key.entries, key.entry_bytes, dtype=torch.uint8, device=self._device)
            except torch.OutOfMemoryError:
                raise ValueError(
                    f"{self._device} has no room for the table's {size(key.bytes)}; leave it in its file"
                ) from None
            self._bring(self._filled.nonzero().flatten())

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Keep what was filled, also when something went wrong elsewhere."""
        if not isinstance(error, OSError):  # a disk that failed would fail again, and hide its first message
            self.flush()

    @property
    def share(self) -> float:
        """How much of the table is filled, 0 to 1."""
        return int(self._filled.sum()) / self.key.entries

    @property
    def elsewhere(self) -> tuple[dict[str, Any], ...]:
        """Environments other than this one in which entries were worked out."""
        return tuple(facts for facts in self._environments if facts != self._environment)

    def entries(self, index: Tensor, view_ids: Tensor) -> Tensor:
        """Entry numbers of these samples in these views, of their shape."""
        return index * self.key.views + view_ids

    def has(self, entries: Tensor) -> Tensor:
        """Whether each entry is filled; entry numbers (N,) on the CPU -> bool (N,) on the CPU."""
        return self._filled[entries]

    def filled(self) -> Tensor:
        """The numbers of all filled entries, rising, on the CPU."""
        return self._filled.nonzero().flatten()

    def get(self, entries: Tensor) -> Tensor:
        """The logits of filled entries: (N,) on the CPU -> float32 (N, classes) on the device, which need not wait."""
        if self._resident is not None:
            return self.key.entry.unpack(self._resident[self._to_device(entries)])
        return self.key.entry.unpack(self._to_device(torch.from_numpy(self._entries[entries.numpy()])))

    def put(self, entries: Tensor, logits: Tensor, target: Tensor | None = None) -> None:
        """Fill entries (N,), on the CPU, with logits (N, classes).

        Where an entry has no room for all classes, that of ``target`` (N,) is kept whatever its logit.

        Raises:
            ValueError: logits that are not finite, or not in the table's type.
            OSError: the disk is full, or fails.
        """
        rows = self.key.entry.pack(logits.detach(), target)
        kept = rows.cpu()
        if not self.key.entry.unpack(kept).isfinite().all():
            largest = float(logits.abs().max())
            raise ValueError(
                f"the teacher's logits, up to {largest:g}, are not finite in {self.key.type}; "
                'set train.teacher_cache_type = "fp32", or train.teacher_cache = "none" if that does not hold them'
            )
        try:
            with self._open() as file:
                for entry, row in zip(entries.tolist(), kept.numpy(), strict=True):
                    file.seek(entry * self.key.entry_bytes)
                    if file.write(row.tobytes()) != self.key.entry_bytes:
                        raise OSError(f"only a part of {self.key.entry_bytes} bytes could be written")
        except OSError as error:
            raise OSError(
                f"{self._logits_file} cannot be written: {error.strerror or error} ({size(self._free())} of disk are "
                'free); what it holds stays good: make room and go on, or set train.teacher_cache = "none"'
            ) from error
        if self._resident is not None:
            self._resident[self._to_device(entries)] = rows
        self._filled[entries] = True
        self._dirty = True

    def flush(self) -> None:
        """Make what was filled outlast this process, and learn what other processes filled.

        Raises:
            OSError: the disk is full, or fails.
        """
        if self._dirty:
            with self._open() as file:
                os.fsync(file.fileno())  # entries first: a bit on disk vouches for an entry on disk
        with self._lock():
            there = self._read_filled()
            gained = (there & ~self._filled).nonzero().flatten()
            self._filled |= there
            if self._dirty:
                bits = np.packbits(self._filled.numpy()).tobytes()
                write_atomically(self._filled_file, lambda temporary: temporary.write_bytes(bits))
                self._note_environment()
        self._dirty = False
        if self._resident is not None:
            self._bring(gained)

    def _open(self) -> FileIO:
        return FileIO(self._logits_file, "r+")

    def _claim(self) -> None:
        """Make the files of a new table, or make sure that those which are there are this table's."""
        table, key = self.folder / TABLE_FILE, self.key.to_dict()
        for leaving in self.folder.glob(".*.tmp"):  # half-written files of a process that was killed
            leaving.unlink()
        if not table.exists():
            if present := sorted(file.name for file in self.folder.iterdir() if not file.name.startswith(".")):
                raise FileExistsError(f"{self.folder} holds files but no table ({', '.join(present[:3])}); move them")
            write_text(table, json.dumps(key, indent=2) + "\n")
        there = self._read_json(table)
        if there != key:
            raise FileExistsError(
                f"{self.folder} holds another table ({'; '.join(differences(there, key))}); {self._remove()}"
            )
        expected = self.key.entries * self.key.entry_bytes
        got = self._logits_file.stat().st_size if self._logits_file.exists() else 0
        if got == 0 and not self._filled_file.exists():
            with self._logits_file.open("wb") as file:
                file.truncate(expected)
        elif got != expected:
            raise ValueError(f"{self._logits_file} has {got} bytes instead of {expected}; {self._remove()}")

    def _read_filled(self) -> Tensor:
        if not self._filled_file.exists():
            return torch.zeros(self.key.entries, dtype=torch.bool)
        bits = np.frombuffer(self._filled_file.read_bytes(), np.uint8)
        if len(bits) != -(-self.key.entries // 8):
            raise ValueError(
                f"{self._filled_file} has {len(bits)} bytes instead of {-(-self.key.entries // 8)}; {self._remove()}"
            )
        return torch.from_numpy(np.unpackbits(bits, count=self.key.entries).astype(bool))

    def _read_environments(self) -> list[dict[str, Any]]:
        file = self.folder / ENVIRONMENTS_FILE
        return list(self._read_json(file)) if file.exists() else []

    def _read_json(self, file: Path) -> Any:
        try:
            return json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{file} cannot be read: {error}; {self._remove()}") from None

    def _note_environment(self) -> None:
        self._environments = self._read_environments()
        if self._environment not in self._environments:
            self._environments.append(self._environment)
            write_text(self.folder / ENVIRONMENTS_FILE, json.dumps(self._environments, indent=2) + "\n")

    def _bring(self, entries: Tensor) -> None:
        """Copy entries from the file to where all of the table is kept."""
        assert self._resident is not None
        for piece in entries.split(_PIECE):
            self._resident[piece.to(self._device)] = torch.from_numpy(self._entries[piece.numpy()]).to(self._device)

    def _to_device(self, tensor: Tensor) -> Tensor:
        if self._device.type == "cpu":
            return tensor
        return tensor.pin_memory().to(self._device, non_blocking=True)  # from pageable memory the host would wait

    def _lock(self) -> FileLock:
        return FileLock(self.folder / ".lock")

    def _refuse_a_lack_of_room(self) -> None:
        free = self._free()
        if free < self.key.bytes:
            raise OSError(
                f"{self.folder} needs {size(self.key.bytes)} of disk for the table of the teacher's logits, but "
                f'{size(free)} are free; make room, or set train.teacher_cache = "none"'
            )

    def _free(self) -> int:
        where = self.folder.absolute()
        while not where.exists():
            where = where.parent
        return shutil.disk_usage(where).free

    def _remove(self) -> str:
        return f"remove {self.folder}, it is filled again"
