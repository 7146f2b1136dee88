"""The command line as a user meets it: what it prints, what it leaves, and how it fails."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from rich.console import Console

from command_line import Run
from decant.cli import main
from decant.data import DATASETS
from decant.engine.progress import Bars, Lines, Reporter, reporter_for
from decant.engine.termination import TerminatedError
from decant.evidence import read_run
from decant.methods import METHODS
from decant.models import TINY, ZOO
from decant.recipe import load_recipe, shipped_recipes

DATA = (
    'name = "fake"\npadding = 1\nfake_train = 64\nfake_test = 48\nfake_classes = 8\nfake_pixels = 8\nvalidation = 0.25'
)
TRAIN = 'epochs = 2\nbatch_size = 16\nlearning_rate = 0.1\nschedule = { name = "onecycle" }'
TEACHER = f"""
[student]
name = "digits_teacher"
[data]
{DATA}
[train]
{TRAIN}
"""
RECIPE = f"""
[student]
name = "digits_student"
[teacher]
recipe = "teacher.toml"
[data]
{DATA}
[method]
name = "dkd"
warmup = 0
[train]
{TRAIN}
[compare]
tune = {{ dkd = {{ beta = [1.0, 2.0] }}, kd-matched = {{ weight = [1.0, 2.0] }} }}
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own with a recipe and its teacher's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "teacher.toml").write_text(TEACHER)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path


def test_train_leaves_a_run_and_says_where(decant: Run, here: Path) -> None:
    code, out, err = decant("train", "recipe.toml", "--set", "method.beta=3", "--out", "mine", "--device", "cpu")
    assert (code, err) == (0, "")
    run = read_run(here / "mine")
    assert run.finished
    assert run.recipe["method"]["beta"] == 3.0
    assert "teacher digits_teacher: trained first, kept in runs/teachers/digits_teacher-fake-" in out
    last = f"digits_student: top-1 {run.last_score:.2f}% on test after epoch 2 (best {run.best_score:.2f}% after epoch "
    assert last in out
    assert "weights in mine/student.safetensors" in out
    assert (here / "mine" / "student.safetensors").is_file()
    code, out, _ = decant("train", "recipe.toml", "--set", "method.beta=3", "--out", "mine", "--device", "cpu")
    assert code == 0
    assert "finished before, nothing to do" in out
    assert last in out


def test_train_puts_a_run_where_its_recipe_s_name_says(decant: Run, here: Path) -> None:
    assert decant("train", "recipe.toml", "--set", "train.epochs=1", "--device", "cpu", "--teachers", "kept")[0] == 0
    assert read_run(here / "runs" / "recipe").finished
    assert len(list((here / "kept").iterdir())) == 1


def test_a_run_folder_serves_as_a_recipe(decant: Run, here: Path) -> None:
    decant("train", "teacher.toml", "--out", "first", "--device", "cpu")
    code, out, _ = decant("train", "first", "--device", "cpu")
    assert code == 0
    assert "first: finished before, nothing to do" in out
    decant("train", "first", "--out", "second", "--device", "cpu")
    assert (here / "first" / "recipe.json").read_bytes() == (here / "second" / "recipe.json").read_bytes()


def test_cache_fills_ahead_what_a_run_will_need(decant: Run, here: Path) -> None:
    fixed = ("--device", "cpu", "--set", "data.view_seed=3")
    code, out, err = decant("cache", "recipe.toml", *fixed, "--epochs", "1")
    assert (code, err) == (0, "")
    (table,) = (here / "runs" / "teachers" / "views").iterdir()
    folder = table.relative_to(here)
    assert f"teacher table: {folder / 'logits.bin'}, 13.9 kB once it is full" in out
    assert f"{folder}: 48 rows to work out, about 0 s; 13.9 kB once it is full" in out
    assert f"48 rows worked out, 5.6% of the table filled: {folder}; runs use it with --set train.teacher_cache" in out
    cached = (*fixed, "--set", "train.teacher_cache=views")
    assert decant("train", "recipe.toml", *cached, "--out", "first")[0] == 0
    hits = [row["teacher_hits"] for row in read_run(here / "first").metrics]
    assert hits[0] == 1
    assert hits[1] < 1
    code, out, _ = decant("cache", "recipe.toml", *cached)
    assert "0 rows worked out" in out, "the run left all that its epochs need"
    assert "runs use it with" not in out
    code, out, _ = decant("cache", "recipe.toml", *cached, "--all")
    assert "100.0% of the table filled" in out
    assert decant("train", "recipe.toml", *cached, "--set", "seed=5", "--out", "second", "--table-on-device")[0] == 0
    assert [row["teacher_hits"] for row in read_run(here / "second").metrics] == [1, 1]


def test_an_interrupted_cache_goes_on(decant: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("cache", "recipe.toml", "--all", "--device", "cpu")
    decant("cache", "recipe.toml", "--epochs", "1", "--device", "cpu")  # the teacher is there
    left = iter([True, True, False])

    def interrupt(_: Reporter) -> None:
        if not next(left):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Reporter, "advance", interrupt)
        code, _, err = decant(*arguments)
    assert (code, err) == (130, "decant: interrupted; the same command goes on from here\n")
    code, out, _ = decant(*arguments)
    assert code == 0
    rows = 48 * 18 - 48 - 3 * 64
    assert f"{rows} rows to work out" in out
    assert f"{rows} rows worked out, 100.0% of the table filled" in out


def test_evaluate_prints_the_score_of_a_run(decant: Run, here: Path) -> None:
    decant("train", "teacher.toml", "--out", "run", "--device", "cpu")
    code, out, err = decant("evaluate", "run", "--device", "cpu")
    assert (code, err) == (0, "")
    last = read_run(here / "run").metrics[-1]
    for told in ("digits_teacher", "fake/test", f"{last['top1']:.2f}", f"{last['top5']:.2f}", f"{last['loss']:.4f}"):
        assert told in out


def test_compare_tables_the_methods_and_gives_a_verdict(decant: Run, here: Path) -> None:
    arguments = ["compare", "recipe.toml", "--methods", "supervised,kd-matched,dkd", "--seeds", "2", "--device", "cpu"]
    code, out, err = decant(*arguments, "--out", "mine", "--results", "kept")
    assert (code, err) == (0, "")
    for name in ("supervised", "kd-matched", "dkd"):
        assert name in out
        assert [read_run(here / "mine" / name / f"seed-{seed}").finished for seed in (0, 1)] == [True, True]
    assert "10 of 10 runs to do" in out
    assert "no verdict" in out.lower(), "two seeds are too few for one"
    assert json.loads((here / "mine" / "comparison.json").read_text())["control"] == "kd-matched"
    readme = (here / "mine" / "README.md").read_text()
    assert "decant compare recipe.toml --methods supervised,kd-matched,dkd --seeds 2" in readme
    assert (here / "mine" / "chart.png").read_bytes().startswith(b"\x89PNG")
    assert (here / "kept" / "teacher" / "recipe.json").is_file()
    assert read_run(here / "kept" / "dkd" / "seed-1").finished
    assert not list((here / "kept").rglob("*.safetensors")), "evidence is small"


def test_the_page_of_a_comparison_holds_no_path_of_this_machine(decant: Run, here: Path) -> None:
    recipe = str(here / "recipe.toml")
    code, _, err = decant(
        "compare", recipe, "--methods", "supervised,kd", "--seeds", "1", "--device", "cpu", "--out", "mine"
    )
    assert (code, err) == (0, "")
    readme = (here / "mine" / "README.md").read_text()
    assert "decant compare recipe --methods supervised,kd --seeds 1" in readme
    assert str(here) not in readme


def test_results_that_are_there_are_seen_before_anything_is_trained(decant: Run, here: Path) -> None:
    code, _, err = decant("compare", "recipe.toml", "--results", ".", "--device", "cpu")
    assert code == 2
    assert ". holds no comparison; remove it first" in err
    assert not (here / "runs").exists()


def test_list_shows_all_there_is(decant: Run) -> None:
    code, out, _ = decant("list")
    assert code == 0
    for name in (*METHODS, *ZOO, *TINY, *DATASETS, *shipped_recipes()):
        assert name in out
    assert "861,620" in out, "parameters of resnet56"
    code, out, _ = decant("list", "settings")
    assert "temperature 4.0" in out
    assert "resnet56" not in out


def test_list_methods_shows_what_each_one_is_for_a_pair(decant: Run) -> None:
    code, out, _ = decant("list", "methods", "--pair", "digits_teacher:digits_student")
    assert code == 0
    lines = [line.strip("│ ") for line in out.splitlines() if line.startswith("│")]
    rows = {name: cells for name, *cells in (re.split(r"\s*│\s*", line) for line in lines)}
    assert rows.keys() == METHODS.keys()
    assert rows["supervised"] == ["-", "-", "-", "1", "0"]
    assert rows["dkd"] == ["2022", "2203.08679", "logits", "1", "0"]
    assert rows["reviewkd"][:3] == ["2021", "2104.09044", "stage1-2, stage1-2.pre, pooled"]
    code, out, _ = decant("list", "methods", "--pair", "vgg13:digits_student")
    assert code == 0
    assert re.search(r"at, nst, .*: compares all stages after the stem, .* the student has stage1, stage2", out)


def test_list_methods_measures_where_asked_to(decant: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in METHODS.keys() - {"supervised", "kd"}:
        monkeypatch.delitem(METHODS, name)
    arguments = ["list", "methods", "--pair", "digits_teacher:digits_student", "--device", "cpu"]
    assert "time" not in decant(*arguments)[1]
    code, out, err = decant(*arguments, "--measure")
    assert (code, err) == (0, "")
    assert re.search(r"supervised .* 1\.00 +│", out)
    assert re.search(r"kd .* \d+\.\d\d +│", out)
    assert "time: of a step, as a multiple of supervised's; medians on this machine" in out


def test_show_fills_in_every_default(decant: Run, here: Path) -> None:
    code, out, _ = decant("show", "recipe.toml", "--set", "seed=4")
    assert code == 0
    shown = json.loads(out)
    assert (shown["seed"], shown["train"]["momentum"], shown["method"]["alpha"]) == (4, 0.9, 1.0)
    assert shown["teacher"]["recipe"]["student"]["name"] == "digits_teacher"
    (here / "shown.json").write_text(out)
    assert load_recipe(here / "shown.json") == load_recipe(here / "recipe.toml", ["seed=4"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "demmo"), "no such file, and no shipped recipe of that name; nearest: demo"),
        (("train", "recipe.toml", "--set", "method.betta=1"), "method.betta: no such setting; did you mean 'beta'?"),
        (("train", "recipe.toml", "--set", "nonsense"), "expected key=value"),
        (("train", "recipe.toml", "--out", "recipe.toml"), "recipe.toml is a file; give another folder"),
        (("train", "recipe.toml", "--out", "."), "holds files but no run"),
        (("train", "recipe.toml", "--device", "gpu"), "device is 'auto', 'cpu' or 'cuda', got 'gpu'"),
        (("train", "teacher.toml", "--set", "data.name=cifar100"), "cifar100: looked in"),
        (("train", "teacher.toml", "--set", "train.learning_rate=1e30", "--device", "cpu"), "NaN or infinite"),
        (("evaluate", "nowhere"), "nowhere is not the folder of a run"),
        (("compare", "recipe.toml", "--methods", "kd,kdd", "--device", "cpu"), "no method 'kdd' to compare"),
        (("compare", "recipe.toml", "--methods", "kd,kd", "--device", "cpu"), "expected different methods"),
        (("compare", "recipe.toml", "--out", ".", "--device", "cpu"), ". holds files but no comparison"),
        (("compare", "teacher.toml", "--methods", "kd", "--device", "cpu"), "but the recipe has none"),
        (("cache", "teacher.toml", "--device", "cpu"), "method supervised runs no teacher: there is nothing to keep"),
        (("show", "nowhere.toml"), "no such file"),
        (
            ("list", "metods"),
            "expected methods, settings, networks, detectors, data, recipes, studies or all, got 'metods'",
        ),
        (("list", "networks", "--measure"), "--pair and --measure are for `decant list methods`, got 'networks'"),
        (
            ("list", "methods", "--pair", "vgg13"),
            "--pair is TEACHER:STUDENT, such as resnet32x4:resnet8x4, got 'vgg13'",
        ),
        (("list", "methods", "--pair", "vgg13:vgg9"), "no network is named 'vgg9'; nearest: "),
    ],
)
def test_a_fault_is_one_message_and_exit_code_2(decant: Run, arguments: tuple[str, ...], message: str) -> None:
    code, _, err = decant(*arguments)
    assert code == 2
    assert err.startswith("decant: ")
    assert err.count("decant: ") == 1
    assert message in err
    assert "Traceback" not in err


@pytest.mark.parametrize("arguments", [("trian", "demo"), ("train",), ("compare", "recipe.toml", "--seeds", "0")])
def test_wrong_usage_is_exit_code_2_too(decant: Run, arguments: tuple[str, ...]) -> None:
    code, _, err = decant(*arguments)
    assert code == 2
    assert "Usage: " in err


@pytest.mark.parametrize("arguments", [("--traceback", "train", "demmo"), ("train", "demmo", "--traceback")])
def test_the_traceback_of_a_fault_is_there_for_who_asks(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["decant", *arguments])
    with pytest.raises(ValueError, match="no shipped recipe of that name"):
        main()


def test_a_fault_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("decant.recipe.load_recipe", fail)
    monkeypatch.setattr("sys.argv", ["decant", "show", "recipe.toml"])
    with pytest.raises(ZeroDivisionError):
        main()


def test_a_run_that_was_terminated_ends_with_the_code_for_later(
    decant: Run, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def terminate(*_: object, **__: object) -> None:
        raise TerminatedError("run: ended by SIGTERM")

    monkeypatch.setattr("decant.engine.train", terminate)
    code, _, err = decant("train", "recipe.toml")
    assert (code, err) == (75, "decant: run: ended by SIGTERM\n")


def test_memory_that_ran_out_is_a_message(decant: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(*_: object, **__: object) -> None:
        raise MemoryError("out of memory: lower something")

    monkeypatch.setattr("decant.engine.train", fill)
    assert decant("train", "recipe.toml")[::2] == (2, "decant: out of memory: lower something\n")


def test_an_interrupt_says_that_the_same_command_goes_on(decant: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: Reporter) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Reporter, "advance", interrupt)
    code, _, err = decant("train", "teacher.toml", "--device", "cpu")
    assert code == 130
    assert err == "decant: interrupted; the same command goes on from here\n"


def test_threads_are_set_only_where_asked_for(decant: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    decant("train", "teacher.toml", "--out", "a", "--device", "cpu")
    assert asked == []
    decant("train", "teacher.toml", "--out", "b", "--device", "cpu", "--threads", "2")
    assert asked == [2]


def test_the_module_runs_as_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "decant", "--help"], capture_output=True, text=True, check=True)
    for command in ("train", "compare", "cache", "evaluate", "list", "show"):
        assert command in done.stdout


def test_bars_are_for_terminals_and_lines_for_pipes() -> None:
    assert isinstance(reporter_for(Console(force_terminal=True)), Bars)
    assert isinstance(reporter_for(Console(force_terminal=False)), Lines)
