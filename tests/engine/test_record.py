import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from decant.engine.record import RunFolder, differences
from decant.methods import DKDSettings
from decant.recipe import CompareSettings, Recipe, recipe_to_dict
from engine.tiny import contents, on_cpu, recipe


def begun(path: Path, of: Recipe, rows: Sequence[dict[str, Any]] = ()) -> RunFolder:
    """A folder in which a run began, and was then left."""
    folder = RunFolder(path, of, on_cpu())
    with folder.held():
        folder.begin(rows)
    return folder


def test_nothing_is_written_before_the_run_begins(tmp_path: Path) -> None:
    RunFolder(tmp_path / "run", recipe(), on_cpu())
    assert not (tmp_path / "run").exists()


def test_a_run_folder_says_what_is_needed_to_repeat_it(tmp_path: Path) -> None:
    begun(tmp_path / "deep" / "run", recipe(seed=3))
    assert json.loads((tmp_path / "deep" / "run" / "recipe.json").read_text()) == recipe_to_dict(recipe(seed=3))
    environment = json.loads((tmp_path / "deep" / "run" / "environment.json").read_text())
    assert environment.keys() == {
        "python", "packages", "system", "device", "threads", "processes", "precision", "source",
    }  # fmt: skip
    assert environment["packages"]["torch"] is not None
    assert (environment["processes"], environment["precision"]) == (1, "fp32")
    assert environment["device"].startswith("cpu: ")


def test_the_same_recipe_may_come_back(tmp_path: Path) -> None:
    begun(tmp_path / "run", recipe(DKDSettings()))
    before = contents(tmp_path)
    begun(tmp_path / "run", recipe(DKDSettings()))
    assert contents(tmp_path) == before


def test_another_recipe_is_refused_with_what_differs(tmp_path: Path) -> None:
    begun(tmp_path / "run", recipe(DKDSettings()))
    before = contents(tmp_path)
    other = replace(recipe(DKDSettings(beta=2.0), epochs=7), seed=4)
    with pytest.raises(FileExistsError) as caught:
        RunFolder(tmp_path / "run", other, on_cpu())
    for told in ("method.beta: there 8.0, here 2.0", "seed: there 0, here 4", "train.epochs: there 3, here 7", "--out"):
        assert told in str(caught.value)
    assert "and" not in str(caught.value).partition("; give")[0].rpartition(";")[2], "three differences, all named"
    assert contents(tmp_path) == before


def test_many_differences_are_counted(tmp_path: Path) -> None:
    begun(tmp_path / "run", recipe(DKDSettings()))
    other = recipe(seed=9, epochs=4, batch_size=8, learning_rate=0.5, momentum=0.5)
    with pytest.raises(FileExistsError, match=r"; and [0-9]+ more"):
        RunFolder(tmp_path / "run", other, on_cpu())


def test_files_that_are_no_run_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("my only copy")
    with pytest.raises(FileExistsError, match=r"holds files but no run \(thesis\.tex\); give an empty folder"):
        RunFolder(tmp_path, recipe(), on_cpu())
    assert contents(tmp_path) == {"thesis.tex": b"my only copy"}
    with pytest.raises(FileExistsError, match="is a file; give another folder"):
        RunFolder(tmp_path / "thesis.tex", recipe(), on_cpu())


def test_an_empty_folder_and_one_with_leavings_of_a_crash_are_welcome(tmp_path: Path) -> None:
    (tmp_path / ".recipe.json.123.tmp").write_text("{")
    begun(tmp_path, recipe())
    assert (tmp_path / "recipe.json").exists()
    assert not list(tmp_path.glob(".*.tmp")), "what a killed run left half written stays for ever"


def test_a_recipe_that_cannot_be_read_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text('{"student": ')
    with pytest.raises(FileExistsError, match=r"recipe\.json cannot be read"):
        RunFolder(tmp_path, recipe(), on_cpu())
    (tmp_path / "recipe.json").write_text("[]")
    with pytest.raises(FileExistsError, match=r"recipe\.json cannot be read"):
        RunFolder(tmp_path, recipe(), on_cpu())


def test_a_run_that_goes_on_elsewhere_says_so(tmp_path: Path) -> None:
    assert RunFolder(tmp_path, recipe(), on_cpu()).moved() == []
    folder = begun(tmp_path, recipe())
    folder.save_resume_state(4, {"epoch": 1})
    assert begun(tmp_path, recipe()).moved() == []
    path = tmp_path / "environment.json"
    start = json.loads(path.read_text())
    path.write_text(json.dumps({**start, "threads": 64}))
    moved = [f"threads: there 64, here {start['threads']}"]
    assert begun(tmp_path, recipe()).moved() == moved
    assert begun(tmp_path, recipe()).moved() == moved
    assert json.loads(path.read_text()) == {**start, "threads": 64, "resumed": [moved, moved]}


def test_a_run_that_starts_over_starts_where_it_is_now(tmp_path: Path) -> None:
    begun(tmp_path, recipe())
    path = tmp_path / "environment.json"
    start = json.loads(path.read_text())
    path.write_text(json.dumps({**start, "threads": 64}))
    begun(tmp_path, recipe())
    assert json.loads(path.read_text()) == start


def test_lines_of_epochs_that_run_again_are_taken_back(tmp_path: Path) -> None:
    folder = begun(tmp_path, recipe())
    for epoch in (1, 2, 3):
        folder.add({"epoch": epoch})
    again = begun(tmp_path, recipe(), rows=[{"epoch": 1}])
    again.add({"epoch": 2})
    assert (tmp_path / "metrics.jsonl").read_text() == '{"epoch": 1}\n{"epoch": 2}\n'


def test_two_processes_cannot_work_in_one_folder(tmp_path: Path) -> None:
    first, second = (RunFolder(tmp_path, recipe(), on_cpu()) for _ in range(2))
    with first.held():
        first.begin([])
        before = contents(tmp_path)
        refused = pytest.raises(FileExistsError, match=r"another process is at work in .*; wait until it is done")
        with refused, second.held():
            pass
        assert contents(tmp_path) == before
    with second.held():
        pass


def test_a_run_that_fails_lets_its_folder_go(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, recipe(), on_cpu())
    with pytest.raises(ZeroDivisionError), folder.held():
        raise ZeroDivisionError
    begun(tmp_path, recipe())


def test_what_a_recipe_compares_does_not_make_it_another(tmp_path: Path) -> None:
    begun(tmp_path, recipe())
    begun(tmp_path, replace(recipe(), compare=CompareSettings(tuning_seeds=3)))


def test_differences_are_named_by_their_dotted_keys() -> None:
    there = {"a": 1, "b": {"c": [1, 2], "d": None}, "e": {"f": 2}}
    here = {"a": 1, "b": {"c": [1, 3], "d": None}, "e": None}
    assert differences(there, here) == ["b.c: there [1, 2], here [1, 3]", "e.f: there 2, here None"]
    assert differences(there, there) == []
    several: list[dict[str, Any]] = [{"method": [{"name": "dkd", "beta": beta}, {"name": "at"}]} for beta in (2, 4)]
    assert differences(*several) == ["method.0.beta: there 2, here 4"]
