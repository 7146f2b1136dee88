import json
from pathlib import Path
from typing import Any

import pytest

from decant.evidence import read_run
from evidence.invented import TEACHER, write_run


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_a_finished_run_says_what_its_files_say(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", seed=7, top1=(80.0, 92.5, 92.0), teacher=TEACHER)
    before = contents(folder)
    run = read_run(str(folder))
    assert (run.seed, run.epochs, run.split, run.finished) == (7, 3, "test", True)
    assert (run.last_score, run.best_score) == (92.0, 92.5)
    assert run.recipe["method"]["name"] == "dkd"
    assert run.environment == {"device": "cpu"}
    assert run.summary is not None
    assert run.summary["teacher"] == TEACHER
    assert contents(folder) == before


def test_a_composed_method_is_called_after_its_parts(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "one", settings={"beta": 2.0}))
    assert (run.method, run.settings) == ("dkd", {"beta": 2.0})
    parts = [{"name": "dkd", "beta": 2.0}, {"name": "at", "weight": 3.0}]
    run = read_run(write_run(tmp_path / "two", methods=parts))
    assert (run.method, run.settings) == ("dkd+at", {"dkd": {"beta": 2.0}, "at": {"weight": 3.0}})
    with pytest.raises(ValueError, match=r"expected a method with a name in .*recipe\.json"):
        read_run(write_run(tmp_path / "unnamed", methods=[parts[0], {"weight": 3.0}]))


def test_a_detector_is_judged_by_average_precision(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", top1=(5.0, 7.5, 6.0))
    recipe = json.loads((folder / "recipe.json").read_text()) | {"task": "detection", "method": []}
    (folder / "recipe.json").write_text(json.dumps(recipe))
    for file in ("metrics.jsonl", "summary.json"):
        text = (folder / file).read_text().replace('"top1": ', '"ap50": 50.0, "ap75": null, "ap": ')
        (folder / file).write_text(text)
    run = read_run(folder)
    assert (run.method, run.settings, run.metric.name) == ("supervised", {}, "AP")
    assert (run.last_score, run.best_score, run.beside) == (6.0, 7.5, {"ap50": 50.0})
    change(folder / "recipe.json", task="segmentation")
    with pytest.raises(
        ValueError, match="expected a task among classification, multilabel, detection, got 'segmentation'"
    ):
        read_run(folder)


def test_an_unfinished_run_is_read_as_far_as_it_got(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "run", finished=False))
    assert not run.finished
    assert (run.epochs, run.last_score) == (3, 92.0)


@pytest.mark.parametrize("tail", [b'{"epoch": 4, "spl', b'{"epoch": 4, "note": "\xc3', b"{"])
def test_a_last_line_cut_short_is_left_out_and_left_alone(tmp_path: Path, tail: bytes) -> None:
    folder = write_run(tmp_path / "run", finished=False)
    with (folder / "metrics.jsonl").open("ab") as file:
        file.write(tail)
    before = contents(folder)
    run = read_run(folder)
    assert (run.epochs, run.last_score, run.finished) == (3, 92.0, False)
    assert contents(folder) == before


def test_a_whole_last_line_counts_without_its_newline(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", finished=False)
    (folder / "metrics.jsonl").write_text((folder / "metrics.jsonl").read_text().rstrip("\n"))
    assert read_run(folder).epochs == 3


def test_a_run_that_just_started_has_nothing_to_report(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", finished=False)
    (folder / "metrics.jsonl").unlink()
    (folder / "environment.json").unlink()
    run = read_run(folder)
    assert (run.epochs, run.finished, run.environment) == (0, False, {})
    with pytest.raises(ValueError, match="at least one judged epoch"):
        _ = run.last_score
    with pytest.raises(ValueError, match="at least one judged epoch"):
        _ = run.split


def test_a_folder_without_a_recipe_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"run folder with recipe\.json"):
        read_run(tmp_path / "nowhere")


@pytest.mark.parametrize("seed", [None, "3", True, 1.5])
def test_a_recipe_needs_an_integer_seed(tmp_path: Path, seed: object) -> None:
    folder = write_run(tmp_path / "run")
    change(folder / "recipe.json", seed=seed)
    with pytest.raises(ValueError, match="integer seed"):
        read_run(folder)


@pytest.mark.parametrize("method", [None, "dkd", {"beta": 8.0}])
def test_a_recipe_needs_a_method_with_a_name(tmp_path: Path, method: object) -> None:
    folder = write_run(tmp_path / "run")
    change(folder / "recipe.json", method=method)
    with pytest.raises(ValueError, match="method with a name"):
        read_run(folder)


@pytest.mark.parametrize("file", ["recipe.json", "environment.json", "summary.json"])
@pytest.mark.parametrize(("text", "message"), [('{"seed": ', "expected JSON in"), ("[1]", "expected a JSON object in")])
def test_a_broken_file_is_named(tmp_path: Path, file: str, text: str, message: str) -> None:
    folder = write_run(tmp_path / "run")
    (folder / file).write_text(text)
    with pytest.raises(ValueError, match=rf"{message} .*{file}"):
        read_run(folder)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"epoch": 2, "spl', "expected JSON in line 2 of"),
        ("", "expected JSON in line 2 of"),
        ("3", "expected a JSON object in line 2 of"),
        ('{"epoch": 2.5, "split": "test", "top1": 90}', "expected epoch, .* in line 2 of .*got 2.5"),
        ('{"epoch": 1, "split": "test", "top1": 90}', "expected an epoch after 1 in line 2 of"),
        ('{"epoch": 2, "split": "train", "top1": 90}', "expected split to be one of .* in line 2 of"),
        ('{"epoch": 2, "split": "test", "top1": 104.5}', "expected top1 in percent, .* in line 2 of"),
        ('{"epoch": 2, "split": "test", "top1": NaN}', "expected top1 in percent, .* in line 2 of"),
        ('{"epoch": 2, "split": "test", "top1": "90"}', "expected top1 in percent, .* in line 2 of"),
        ('{"epoch": 2, "split": "test"}', "expected top1 in percent, .* in line 2 of"),
        ('{"epoch": 2, "split": "validation", "top1": 90}', "expected one split to be judged"),
    ],
)
@pytest.mark.parametrize("finished", [True, False])
def test_a_wrong_row_is_named_by_its_line(tmp_path: Path, line: str, message: str, finished: bool) -> None:
    folder = write_run(tmp_path / "run", finished=finished)
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    lines[1] = line
    (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    with pytest.raises(ValueError, match=message):
        read_run(folder)


def test_a_finished_run_must_not_be_cut_short(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 4')
    with pytest.raises(ValueError, match="expected JSON in line 4 of"):
        read_run(folder)


@pytest.mark.parametrize("file", ["environment.json", "metrics.jsonl"])
def test_a_finished_run_must_be_whole(tmp_path: Path, file: str) -> None:
    folder = write_run(tmp_path / "run")
    (folder / file).unlink()
    with pytest.raises(ValueError, match=rf"expected {file}"):
        read_run(folder)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"finished": False}, '"finished": true'),
        ({"epochs": 4}, "to end as metrics.jsonl does"),
        ({"last": {"epoch": 3, "top1": 99.0}}, "to end as metrics.jsonl does, at epoch 3 with top1 92.0"),
        ({"last": None}, "to end as metrics.jsonl does"),
        ({"seconds": None}, "expected seconds"),
        ({"teacher": {"name": "digits_teacher"}}, "expected a teacher with its sha256"),
    ],
)
def test_a_summary_that_contradicts_the_run_is_refused(tmp_path: Path, values: dict[str, Any], message: str) -> None:
    folder = write_run(tmp_path / "run")
    change(folder / "summary.json", **values)
    with pytest.raises(ValueError, match=message):
        read_run(folder)
