"""What an interrupted run finds: whole, the newest, and without running anything."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from decant.engine.resume_states import ResumeStates

KEYS = {"epoch", "within", "weights"}


def state(epoch: int) -> dict[str, Any]:
    return {"epoch": epoch, "within": None, "weights": torch.full((100,), float(epoch))}


def kept(folder: Path, *steps: int, keep: int = 2) -> ResumeStates:
    states = ResumeStates(folder, keep)
    for step in steps:
        states.save(step, state(step))
    return states


def steps_of(folder: Path) -> list[int]:
    return sorted(int(path.name.split("-")[1]) for path in folder.glob("resume-*.pt"))


def quietly(text: str) -> None:
    raise AssertionError(f"nothing is wrong, but was told: {text}")


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    module = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    torch.autograd.backward(module(torch.ones(1, 2)).sum())
    optimizer.step()
    given = {"epoch": 3, "rows": [{"top1": 0.5, "top5": None}], "optimizer": optimizer.state_dict()}
    ResumeStates(tmp_path).save(7, given)
    back = ResumeStates(tmp_path).load(given.keys(), quietly)
    assert back is not None
    assert (back["epoch"], back["rows"]) == (3, [{"top1": 0.5, "top5": None}])
    momentum = optimizer.state_dict()["state"][0]["momentum_buffer"]
    assert torch.equal(back["optimizer"]["state"][0]["momentum_buffer"], momentum)


def test_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    assert ResumeStates(tmp_path).load(KEYS, quietly) is None


@pytest.mark.parametrize(("keep", "left"), [(1, [30]), (2, [20, 30]), (5, [5, 10, 20, 30])])
def test_the_newest_are_kept(tmp_path: Path, keep: int, left: list[int]) -> None:
    kept(tmp_path, 5, 10, 20, 30, keep=keep)
    assert steps_of(tmp_path) == left
    back = ResumeStates(tmp_path).load(KEYS, quietly)
    assert back is not None
    assert back["epoch"] == 30
    with pytest.raises(ValueError, match="at least 1 resume state is kept, got 0"):
        ResumeStates(tmp_path, 0)


def test_a_clock_that_went_backwards_changes_nothing(tmp_path: Path) -> None:
    states = kept(tmp_path, 10, 20)
    for path in tmp_path.glob("resume-*.pt"):  # the older state has the later time of the two, and both lie ahead
        os.utime(path, (4e9, 4e9) if "-000000000010-" in path.name else (3e9, 3e9))
    back = states.load(KEYS, quietly)
    assert back is not None
    assert back["epoch"] == 20
    states.save(30, state(30))  # written "before" both
    assert steps_of(tmp_path) == [20, 30]
    back = ResumeStates(tmp_path).load(KEYS, quietly)
    assert back is not None
    assert back["epoch"] == 30


@pytest.mark.parametrize("how", ["a bit", "cut", "empty"])
def test_a_damaged_newest_one_is_told_of_and_the_one_before_taken(tmp_path: Path, how: str) -> None:
    kept(tmp_path, 10, 20)
    newest = ResumeStates(tmp_path).files()[0]
    if how == "a bit":
        damage(newest)
    else:
        newest.write_bytes(newest.read_bytes()[: 0 if how == "empty" else 200])
    told: list[str] = []
    states = ResumeStates(tmp_path)
    back = states.load(KEYS, told.append)
    assert back is not None
    assert back["epoch"] == 10
    assert told == [f"{newest} is damaged, its checksum is another one; the state before it is taken"]
    # It goes once there is a good one in its place, although its number is the higher one.
    states.save(15, state(15))
    assert steps_of(tmp_path) == [10, 15]


def test_where_all_are_damaged_it_says_what_to_do(tmp_path: Path) -> None:
    kept(tmp_path, 10, 20)
    for path in ResumeStates(tmp_path).files():
        damage(path)
    before = steps_of(tmp_path)
    with pytest.raises(ValueError, match=r"all are damaged \(resume-.*20.*, resume-.*10.*\); remove them to start"):
        ResumeStates(tmp_path).load(KEYS, lambda text: None)
    assert steps_of(tmp_path) == before


def test_a_state_of_another_version_says_what_to_do(tmp_path: Path) -> None:
    ResumeStates(tmp_path).save(1, {"epoch": 3})
    with pytest.raises(ValueError, match=r"not what this version of Decant writes .*; remove this file to go on"):
        ResumeStates(tmp_path).load(KEYS, quietly)


def test_the_single_file_of_earlier_versions_is_gone_on_with(tmp_path: Path) -> None:
    torch.save({"epoch": 4, "weights": torch.ones(2)}, tmp_path / "resume.pt")
    states = ResumeStates(tmp_path)
    back = states.load(KEYS, quietly)
    assert back is not None
    assert (back["epoch"], back["within"]) == (4, None)
    states.save(50, state(5))
    states.save(60, state(6))
    assert [path.name.split("-")[0] for path in states.files()] == ["resume", "resume"]
    assert not (tmp_path / "resume.pt").exists()


def test_a_full_disk_leaves_the_states_that_were_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    states = kept(tmp_path, 10, 20)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    whole_device = Path("/dev/full")
    if not whole_device.is_char_device():
        pytest.skip("no /dev/full here")
    opening = Path.open

    def full(path: Path, mode: str = "r", **more: Any) -> Any:
        return opening(whole_device if "w" in mode else path, mode, **more)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OSError, match=r"the disk is full: .* cannot be written\. What was kept before is whole; make"):
        states.save(30, state(30))
    monkeypatch.undo()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


class Hostile:
    """Makes a folder when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def with_true_checksum(path: Path) -> None:
    """Give a foreign file the name that it would have as ours."""
    from decant.engine.resume_states import _digest

    path.rename(path.with_name(f"resume-{9:012d}-{_digest(path)}.pt"))


@pytest.mark.parametrize("name", ["resume.pt", "resume-000000000009-{}.pt"])
@pytest.mark.parametrize("as_plain_pickle", [True, False])
def test_code_in_a_resume_file_is_not_run(tmp_path: Path, as_plain_pickle: bool, name: str) -> None:
    path, mark = tmp_path / "resume.pt", tmp_path / "it-ran"
    content = {"epoch": Hostile(mark), "within": None, "weights": 0}
    path.write_bytes(pickle.dumps(content)) if as_plain_pickle else torch.save(content, path)
    if name != "resume.pt":
        with_true_checksum(path)
    with pytest.raises(ValueError, match="the resume state cannot be read") as caught:
        ResumeStates(tmp_path).load(KEYS, quietly)
    assert "weights_only" not in str(caught.value), "the message recommends to run the code after all"
    assert not mark.exists()


def replaced(content: bytes, place: int, by: bytes) -> bytes:
    return content[: place % len(content)] + by + content[place % len(content) + len(by) :]


def cut(content: bytes, place: int, by: bytes) -> bytes:
    return content[: place % len(content)]


def only(content: bytes, place: int, by: bytes) -> bytes:
    return by


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    change=st.sampled_from([replaced, cut, only]),
    place=st.integers(0, 1 << 16),
    by=st.binary(min_size=1, max_size=64),
    checked=st.booleans(),
)
def test_any_file_is_read_or_refused_in_our_words(
    tmp_path: Path, change: Callable[[bytes, int, bytes], bytes], place: int, by: bytes, checked: bool
) -> None:
    """Also one whose checksum is right, such as somebody's who knows how to make one."""
    states = kept(tmp_path, 10, keep=1)
    (path,) = states.files()
    path.write_bytes(change(path.read_bytes(), place, by))
    if checked:
        with_true_checksum(path)
    try:
        back = ResumeStates(tmp_path).load(KEYS, lambda text: None)
        words = ""
    except ValueError as error:
        back, words = None, str(error)
    assert (back is not None and back.keys() == KEYS) or "remove th" in words  # this file, or them
    for left in states.files():
        left.unlink()
