"""What runs left is found in whatever state it is, told where it cannot be shown, and never changed."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from decant.evidence import Comparison, Findings, compare_runs, read_run
from decant.evidence.gathering import Gathered, gather
from evidence.invented import DKD, KD_MATCHED, TEACHER, write_run
from report.test_findings import FOUND

METHODS = {
    "supervised": ("supervised", {}, None),
    "kd-matched": ("kd", KD_MATCHED, TEACHER),
    "dkd": ("dkd", DKD, TEACHER),
}


def write_comparison(path: Path, *, seeds: int = 3, ended: bool = True) -> Path:
    """The folder of a comparison, with what tuned it and its teacher beside the runs."""
    groups = {}
    for place, (name, (method, settings, teacher)) in enumerate(METHODS.items()):
        groups[name] = [
            write_run(
                path / name / f"seed-{seed}",
                method=method,
                settings=settings,
                teacher=teacher,
                seed=seed,
                top1=(80.0, 90.0 + place + seed / 4),
            )
            for seed in range(seeds)
        ]
    write_run(path / "tuning" / "dkd-beta-2" / "seed-1000", seed=1000, split="validation")
    write_run(path / "teacher", method="supervised")
    (path / "compared.json").write_text("{}")
    if ended:
        compared = compare_runs({name: [read_run(run) for run in runs] for name, runs in groups.items()})
        (path / "comparison.json").write_text(json.dumps(compared.to_json()))
    return path


def snapshot(folder: Path) -> dict[str, tuple[str, int, int]]:
    """Every file and folder with its content, its mode and the time of its last change."""
    return {
        path.relative_to(folder).as_posix(): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
            path.stat().st_mode,
            path.stat().st_mtime_ns,
        )
        for path in folder.rglob("*")
    }


def reasons(gathered: Gathered, path: Path) -> str:
    """What was said of one path."""
    return "\n".join(fault.reason for fault in gathered.faults if fault.path == path)


def test_a_comparison_comes_with_its_runs_and_what_they_show(tmp_path: Path) -> None:
    folder = write_comparison(tmp_path / "compare" / "pair")
    before = snapshot(tmp_path)
    gathered = gather([tmp_path])
    (group,) = gathered.groups
    assert gathered.faults == ()
    assert {name: [run.seed for run in runs] for name, runs in group.runs.items()} == {
        name: [0, 1, 2] for name in METHODS
    }
    assert group.comparison == Comparison.from_json(json.loads((folder / "comparison.json").read_text()))
    assert not group.under_way
    assert snapshot(tmp_path) == before


def test_no_verdict_before_the_comparison_has_ended(tmp_path: Path) -> None:
    """Also where all that is there is finished: who stops when he likes what he sees has chosen the result."""
    write_comparison(tmp_path / "pair", ended=False)
    (group,) = gather([tmp_path]).groups
    assert group.comparison is None
    assert group.reason == "9 of 9 runs so far are finished, and the comparison is not"
    assert group.under_way


def test_runs_named_one_by_one_are_put_side_by_side_by_what_they_share(tmp_path: Path) -> None:
    folder = write_comparison(tmp_path / "pair")
    other = write_run(tmp_path / "other", data={"name": "cifar100"})
    named = [folder / name / f"seed-{seed}" for name in ("supervised", "dkd") for seed in (0, 1)]
    first, second = gather([*named, other, other]).groups
    assert list(first.runs) == ["supervised", "dkd"]
    assert first.comparison is not None
    assert first.comparison.baseline == "supervised"
    assert first.comparison.result("dkd").last == {0: 92.0, 1: 92.25}
    assert [run.path for run in second.every_run] == [other]
    assert (second.comparison, second.under_way) == (None, False)
    assert "one run alone" in second.reason


def test_runs_that_do_not_fit_together_are_shown_with_the_reason(tmp_path: Path) -> None:
    for name, method, top1 in (("a", "kd", (80.0, 91.0)), ("b", "dkd", (80.0, 90.0, 91.0))):
        write_run(tmp_path / name, method=method, top1=top1)
    (group,) = gather([tmp_path]).groups
    assert group.comparison is None
    assert "epochs: 2 and 3" in group.reason


def test_a_run_that_is_being_written_is_shown_as_far_as_it_is(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", finished=False)
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 4, "split": "te')
    gathered = gather([run])
    (group,) = gathered.groups
    assert gathered.faults == ()
    assert (group.every_run[0].epochs, group.under_way) == (3, True)
    assert group.reason == "0 of 1 runs are finished"


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("metrics.jsonl", b'{"epoch": 1, "spl', "line 1 of"),
        ("metrics.jsonl", b"", "at least one row"),
        ("metrics.jsonl", b"\xff\xfe\x00\n", "cannot be read"),
        ("recipe.json", b'{"seed": 0', "expected JSON"),
        ("recipe.json", b"[1, 2]", "expected a JSON object"),
        ("recipe.json", b"{}", "an integer seed"),
        ("recipe.json", b'{"seed": 1, "method": {"name": "dkd"}, "task": []}', "expected a task among"),
        ("recipe.json", b'{"seed": 1, "method": {"name": "dkd"}, "task": null}', "expected a task among"),
        ("recipe.json", b'{"seed": 1, "method": {"name": "dkd"}, "train": null}', "an object for train"),
        ("recipe.json", b'{"seed": 1, "method": {"name": "dkd"}, "train": []}', "an object for train"),
        ("recipe.json", b'{"seed": 1, "method": {"name": "dkd"}, "data": "digits"}', "an object for data"),
        ("recipe.json", b'{"seed": 1, "method": {"name": "dkd"}, "student": 1}', "an object for student"),
        ("recipe.json", b'{"seed": 1, "method": {"name": "dkd"}, "train": {"optimizer": 1}}', "a train.optimizer"),
        ("summary.json", b'{"finished": true', "expected JSON"),
        ("summary.json", b'{"finished": true, "seconds": 1, "epochs": 9, "last": {}}', "to end as metrics.jsonl does"),
    ],
)
def test_a_damaged_run_is_a_fault_and_the_others_are_shown(
    tmp_path: Path, file: str, content: bytes, said: str
) -> None:
    folder = write_comparison(tmp_path / "pair", ended=False)
    damaged = folder / "dkd" / "seed-1"
    (damaged / file).write_bytes(content)
    before = snapshot(tmp_path)
    gathered = gather([tmp_path])
    assert said in reasons(gathered, damaged)
    assert [run.seed for run in gathered.groups[0].runs["dkd"]] == [0, 2]
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    "content",
    [
        b'{"format": 0}',
        b'{"format": 1}',
        b'{"format": 1, "results": 5}',
        b"[]",
        b"{",
        b"null",
        b'{"format": 1, "results": [], "baseline": null, "control": null, "split": "test", "epochs": 1, "data": {}, '
        b'"student": {}, "parameters": 1, "teachers": [], "notes": []}',
    ],
)
def test_a_comparison_of_another_version_or_cut_short_is_a_fault(tmp_path: Path, content: bytes) -> None:
    folder = write_comparison(tmp_path / "pair")
    (folder / "comparison.json").write_bytes(content)
    gathered = gather([folder])
    assert "not whole, or not of this version" in reasons(gathered, folder / "comparison.json")
    assert len(gathered.groups[0].every_run) == 9
    assert gathered.groups[0].comparison is None


def test_a_comparison_that_says_other_than_its_runs_is_told(tmp_path: Path) -> None:
    folder = write_comparison(tmp_path / "pair")
    told = json.loads((folder / "comparison.json").read_text())
    told["results"][2]["runs"][1]["last"] = 99.0
    (folder / "comparison.json").write_text(json.dumps(told))
    write_run(folder / "dkd" / "seed-3", settings=DKD, seed=3, teacher=TEACHER, finished=False)
    gathered = gather([folder])
    assert gathered.groups[0].under_way
    assert "comparison.json says 99.0, metrics.jsonl 92.25" in reasons(gathered, folder / "dkd" / "seed-1")
    assert "does not know of dkd seed 3" in reasons(gathered, folder)


def test_a_run_of_an_older_version_is_shown(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    recipe = json.loads((run / "recipe.json").read_text())
    del recipe["train"], recipe["student"]
    (run / "recipe.json").write_text(json.dumps(recipe | {"of_old": 1}))
    gathered = gather([run])
    assert gathered.faults == ()
    assert gathered.groups[0].every_run[0].last_score == 92.0


def test_what_may_not_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_comparison(tmp_path / "pair", ended=False)
    locked = folder / "dkd" / "seed-1"
    read = Path.read_bytes

    def refused(path: Path) -> bytes:
        if locked in path.parents:
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refused)
    gathered = gather([tmp_path])
    assert "Permission denied" in reasons(gathered, locked)
    assert len(gathered.groups[0].every_run) == 8


@contextmanager
def another_user() -> Iterator[None]:
    """Inside, a user without rights, where this one is root, who may read everything."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_folders_of_another_user_are_told() -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own folder is closed to other users
        Path(name).chmod(0o755)
        folder = write_comparison(Path(name) / "pair", ended=False)
        locked = [folder / "dkd", folder / "supervised" / "seed-1", Path(name) / "closed"]
        locked[2].mkdir()
        for path in locked:
            path.chmod(0)
        try:
            with another_user():
                gathered = gather([Path(name)])
        finally:
            for path in locked:
                path.chmod(0o755)
    assert all("Permission denied" in reasons(gathered, path) for path in locked)
    runs = {method: [run.seed for run in runs] for method, runs in gathered.groups[0].runs.items()}
    assert runs == {"kd-matched": [0, 1, 2], "supervised": [0, 2]}


def test_a_study_comes_with_the_runs_that_it_shares(tmp_path: Path) -> None:
    page = tmp_path / "demo" / "terms"
    page.mkdir(parents=True)
    (page / "findings.json").write_text(json.dumps(FOUND.to_json()))
    write_comparison(tmp_path / "demo" / "runs" / "a pair")
    gathered = gather([page])
    assert gathered.studies == {page: FOUND}
    assert [group.path.name for group in gathered.groups] == ["a pair"]
    assert gather([tmp_path]).studies == {page: FOUND}
    assert len(gather([tmp_path]).groups) == 1


def test_findings_are_what_they_were(tmp_path: Path) -> None:
    assert Findings.from_json(json.loads(json.dumps(FOUND.to_json()))) == FOUND
    bare = replace(FOUND, comparisons={}, panels=())
    for broken in ({}, {"format": 0}, {"format": 1}, bare.to_json() | {"tables": [{}]}, bare.to_json() | {"panels": 3}):
        with pytest.raises(ValueError, match="expected"):
            Findings.from_json(broken)


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"format": 0}'])
def test_a_study_of_another_version_is_a_fault(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "findings.json").write_bytes(content)
    gathered = gather([tmp_path])
    assert gathered.studies == {}
    assert reasons(gathered, tmp_path / "findings.json")


def test_folders_without_runs_are_told(tmp_path: Path) -> None:
    (tmp_path / "empty" / "deeper").mkdir(parents=True)
    (tmp_path / "file").write_text("")
    gathered = gather([tmp_path / "empty", tmp_path / "nowhere", tmp_path / "file"])
    assert gathered.groups == ()
    assert [fault.path.name for fault in gathered.faults] == ["empty", "nowhere", "file"]
