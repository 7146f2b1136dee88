"""The file of a teacher's logits: what it holds is right or not there, whoever writes, dies or comes late."""

import errno
import os
import shutil
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from decant.engine import teacher_table
from decant.engine.checkpoint import write_atomically
from decant.engine.teacher_table import TeacherTable
from engine.tiny import CLASSES, contents
from engine.toy_tables import SAMPLES, VIEWS, key, logits

ENTRIES = SAMPLES * VIEWS
SOME = torch.tensor([59, 0, 7])


def all_of(table: TeacherTable) -> Tensor:
    return table.get(torch.arange(ENTRIES))


def leave(folder: Path, entries: Tensor = SOME, **changes: Any) -> dict[str, bytes]:
    """A table with these entries filled; what is in the folder."""
    with TeacherTable(folder, key(**changes)) as table:
        table.put(entries, logits(len(entries)))
    return contents(folder)


@pytest.mark.parametrize("on_device", [False, True])
def test_entries_come_back_in_the_table_s_type(tmp_path: Path, on_device: bool) -> None:
    given = logits(3)
    for kind, exact in (("fp32", given), ("fp16", given.half().float())):
        with TeacherTable(tmp_path / kind, key(type=kind), on_device=on_device) as table:
            table.put(SOME, given)
            got = table.get(SOME.flip(0))
            assert got.dtype == torch.float32
            assert torch.equal(got, exact.flip(0)), "in the step that fills them too"
            assert table.has(torch.arange(ENTRIES)).nonzero().flatten().tolist() == [0, 7, 59]
            assert table.filled().tolist() == [0, 7, 59]
            assert table.share == 3 / ENTRIES
        with TeacherTable(tmp_path / kind, key(type=kind), on_device=on_device) as table:
            assert table.filled().tolist() == [0, 7, 59]
            assert torch.equal(table.get(SOME), exact)
    assert not torch.equal(given, given.half().float())


def test_half_precision_halves_the_file_and_nothing_is_stored_before_it_is_filled(tmp_path: Path) -> None:
    for kind, width in (("fp16", 2), ("fp32", 4)):
        leave(tmp_path / kind, type=kind, samples=100_000)
        status = (tmp_path / kind / "logits.bin").stat()
        assert status.st_size == 100_000 * VIEWS * CLASSES * width
        assert status.st_blocks * 512 < status.st_size / 10


def test_an_entry_is_named_by_its_sample_and_view(tmp_path: Path) -> None:
    with TeacherTable(tmp_path, key()) as table:
        samples, views = torch.arange(SAMPLES).repeat_interleave(VIEWS), torch.arange(VIEWS).repeat(SAMPLES)
        assert table.entries(samples, views).tolist() == list(range(ENTRIES))


def test_only_what_was_flushed_outlives_the_process(tmp_path: Path) -> None:
    first = TeacherTable(tmp_path, key())
    first.put(SOME[:2], logits(2))
    first.flush()
    first.put(SOME[2:], logits(1))
    with TeacherTable(tmp_path, key()) as other:  # as after a kill of the first
        assert other.filled().tolist() == [0, 59]


def test_entries_are_on_the_disk_before_the_bits_that_vouch_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TeacherTable(tmp_path, key()) as table:
        table.put(SOME, logits(3))
        events: list[str] = []
        fsync, write = os.fsync, write_atomically

        def fsync_seen(descriptor: int) -> None:
            entries = os.path.samestat(os.fstat(descriptor), (tmp_path / "logits.bin").stat())
            events.append("sync logits.bin" if entries else "sync another file")
            fsync(descriptor)

        def write_seen(path: Path, how: Any) -> None:
            events.append(f"write {path.name}")
            write(path, how)

        monkeypatch.setattr(os, "fsync", fsync_seen)
        monkeypatch.setattr(teacher_table, "write_atomically", write_seen)
        table.flush()
        assert events[:2] == ["sync logits.bin", "write filled.bin"]
        events.clear()
        table.flush()
        assert events == [], "nothing new, nothing to write"


@pytest.mark.parametrize("on_device", [False, True])
def test_two_that_fill_one_table_at_once_lose_nothing(tmp_path: Path, on_device: bool) -> None:
    left, right = (TeacherTable(tmp_path, key(), on_device=on_device) for _ in range(2))
    given = logits(4)
    left.put(torch.tensor([1, 2]), given[:2])
    right.put(torch.tensor([2, 3]), given[1:3])
    left.flush()
    assert right.filled().tolist() == [2, 3]
    right.flush()
    assert right.filled().tolist() == [1, 2, 3], "what the other flushed"
    assert torch.equal(right.get(torch.tensor([1, 2, 3])), given[:3])
    left.put(torch.tensor([4]), given[3:])
    left.flush()
    assert left.filled().tolist() == [1, 2, 3, 4]
    assert torch.equal(left.get(torch.tensor([1, 2, 3, 4])), given)
    with TeacherTable(tmp_path, key()) as late:
        assert torch.equal(late.get(torch.tensor([1, 2, 3, 4])), given)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"sha256": "d0d0"}, "sha256: there 'c0ffee', here 'd0d0'"),
        ({"teacher": "other"}, "teacher: there 'toy', here 'other'"),
        ({"data": "dead"}, "data: there 'feed', here 'dead'"),
        ({"samples": 11}, "samples: there 10, here 11"),
        ({"padding": 2}, "padding: there 1, here 2"),
        ({"flip": False}, "flip: there True, here False"),
        ({"mean": (0.4,)}, r"mean: there \[0.5\], here \[0.4\]"),
        ({"std": (0.5,)}, r"std: there \[0.25\], here \[0.5\]"),
        ({"image": (3, 8, 9)}, r"image: there \[3, 8, 8\], here \[3, 8, 9\]"),
        ({"classes": 9}, "classes: there 8, here 9"),
        ({"type": "fp16"}, "type: there 'fp32', here 'fp16'"),
        ({"precision": "bf16"}, "precision: there 'fp32', here 'bf16'"),
        ({"channels_last": False}, "channels_last: there True, here False"),
        ({"rows": 16}, "rows: there 8, here 16"),
        ({"format": 2}, "format: there 1, here 2"),
        ({"top": 3, "temperature": 4.0}, "temperature: there None, here 4.0; top: there None, here 3"),
    ],
)
def test_another_table_is_refused_by_what_differs(tmp_path: Path, change: dict[str, Any], named: str) -> None:
    before = leave(tmp_path)
    with pytest.raises(FileExistsError, match=rf"holds another table \({named}"):
        TeacherTable(tmp_path, key(**change))
    assert contents(tmp_path) == before
    assert key(**change).folder_name != key().folder_name


def test_tables_of_earlier_versions_are_found_again() -> None:
    assert key().folder_name == "toy-273dc3656650", "changing the key loses everybody's tables"


def damage_cut(folder: Path) -> None:
    with (folder / "logits.bin").open("r+b") as file:
        file.truncate(100)


def damage_empty(folder: Path) -> None:
    (folder / "logits.bin").write_bytes(b"")


def damage_gone(folder: Path) -> None:
    (folder / "logits.bin").unlink()


def damage_bits(folder: Path) -> None:
    (folder / "filled.bin").write_bytes(b"\xff")


def damage_facts(folder: Path) -> None:
    (folder / "environments.json").write_text("")


def damage_key(folder: Path) -> None:
    (folder / "table.json").write_text("{")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_cut, r"logits\.bin has 100 bytes instead of 1920; remove "),
        (damage_empty, r"logits\.bin has 0 bytes instead of 1920; remove "),
        (damage_gone, r"logits\.bin has 0 bytes instead of 1920; remove "),
        (damage_bits, r"filled\.bin has 1 bytes instead of 8; remove "),
        (damage_key, r"table\.json cannot be read: "),
        (damage_facts, r"environments\.json cannot be read: "),
    ],
)
def test_a_damaged_table_is_refused_and_not_mended(tmp_path: Path, damage: Any, message: str) -> None:
    leave(tmp_path)
    damage(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(ValueError, match=message):
        TeacherTable(tmp_path, key())
    assert contents(tmp_path) == before


def test_files_that_are_no_table_s_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"holds files but no table \(notes\.txt\); move them"):
        TeacherTable(tmp_path, key())
    assert contents(tmp_path) == {"notes.txt": b"mine"}


def test_what_a_kill_left_behind_is_no_hindrance(tmp_path: Path) -> None:
    before = leave(tmp_path)
    (tmp_path / ".filled.bin.4711.tmp").write_bytes(b"half")
    TeacherTable(tmp_path, key())
    assert contents(tmp_path) == before
    # Killed after the key was written, before there was a file of entries.
    (tmp_path / "new").mkdir()
    (tmp_path / "table.json").rename(tmp_path / "new" / "table.json")
    with TeacherTable(tmp_path / "new", key()) as table:
        assert not len(table.filled())
        table.put(SOME, logits(3))


def test_a_new_table_says_its_size_and_place_first(tmp_path: Path) -> None:
    said: list[str] = []
    TeacherTable(tmp_path / "a" / "b", key(), say=said.append)
    assert said == [f"teacher table: {tmp_path / 'a' / 'b' / 'logits.bin'}, 1.9 kB once it is full"]
    TeacherTable(tmp_path / "a" / "b", key(), say=said.append)
    assert len(said) == 1


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_a_table_for_which_there_is_no_room_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def usage(_: object) -> Usage:
        return Usage(10_000, 9_000, 1_000)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    with pytest.raises(OSError, match=r"needs 1\.9 kB of disk for the table .*, but 1\.0 kB are free; make room"):
        TeacherTable(tmp_path / "table", key())
    assert not list(tmp_path.iterdir())


class FullDisk(FileIO):
    """A file that takes no more than so many bytes."""

    def __init__(self, path: Path, room: int) -> None:
        super().__init__(path, "r+")
        self._room = room

    def write(self, piece: Any, /) -> int:
        if not self._room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = min(self._room, len(piece))
        self._room -= written
        return super().write(piece[:written])


@pytest.mark.parametrize(
    ("room", "reason"), [(0, "No space left on device"), (45, "only a part of 32 bytes could be written")]
)
def test_a_disk_that_is_full_is_an_error_that_says_so(
    tmp_path: Path, room: int, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = TeacherTable(tmp_path, key())
    table.put(torch.tensor([5]), logits(1))
    monkeypatch.setattr(TeacherTable, "_open", lambda _: FullDisk(tmp_path / "logits.bin", room))
    with (
        pytest.raises(OSError, match=rf"logits\.bin cannot be written: {reason} \(.* of disk are free\); what it"),
        table,
    ):
        table.put(SOME, logits(3))
    assert table.filled().tolist() == [5], "nothing vouches for what is not there"
    monkeypatch.undo()
    table = TeacherTable(tmp_path, key())
    table.put(SOME, logits(3))
    table.flush()
    with TeacherTable(tmp_path, key()) as again:
        assert torch.equal(again.get(SOME), logits(3))


def test_what_was_filled_is_kept_when_something_else_fails(tmp_path: Path) -> None:
    def interrupt(table: TeacherTable) -> None:
        table.put(SOME, logits(3))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), TeacherTable(tmp_path, key()) as table:
        interrupt(table)
    with TeacherTable(tmp_path, key()) as table:
        assert table.filled().tolist() == [0, 7, 59]


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        (1e5, "fp16", r'up to 100000, are not finite in fp16; set train\.teacher_cache_type = "fp32"'),
        (float("inf"), "fp32", "up to inf, are not finite in fp32"),
        (float("nan"), "fp32", "up to nan, are not finite in fp32"),
    ],
)
def test_logits_that_the_type_cannot_hold_are_refused(tmp_path: Path, value: float, kind: str, message: str) -> None:
    with TeacherTable(tmp_path, key(type=kind)) as table:
        with pytest.raises(ValueError, match=message):
            table.put(SOME, logits(3).index_fill(0, torch.tensor([1]), value))
        assert not len(table.filled())


def test_the_machines_that_filled_a_table_are_known(tmp_path: Path) -> None:
    here, there = {"torch": "2.15", "threads": 1}, {"torch": "2.15", "threads": 2}
    with TeacherTable(tmp_path, key(), environment=here) as table:
        table.put(SOME, logits(3))
    with TeacherTable(tmp_path, key(), environment=here) as table:
        assert table.elsewhere == ()
    with TeacherTable(tmp_path, key(), environment=there) as table:
        assert table.elsewhere == (here,)
    with TeacherTable(tmp_path, key(), environment=here) as table:
        assert table.elsewhere == (), "looking up leaves nothing behind"
    with TeacherTable(tmp_path, key(), environment=there) as table:
        table.put(SOME + 1 - 1, logits(3))
    with TeacherTable(tmp_path, key(), environment=here) as table:
        assert table.elsewhere == (there,)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("on_device", [False, True])
def test_a_gpu_gets_what_a_cpu_gets(tmp_path: Path, on_device: bool) -> None:
    leave(tmp_path)
    with TeacherTable(tmp_path, key(), device="cuda", on_device=on_device) as table:
        assert torch.equal(table.get(SOME).cpu(), logits(3))
        table.put(torch.tensor([30, 31]), logits(2, seed=1).to("cuda"))
        assert torch.equal(table.get(torch.tensor([31, 30])).cpu(), logits(2, seed=1).flip(0))
