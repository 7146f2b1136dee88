"""A method out of a file, from the command line: no command runs it without --trust-code, every one does with it."""

from pathlib import Path

import pytest

from command_line import Run
from decant.cli import app

EXAMPLE = Path(__file__).parents[1] / "examples" / "03_your_own_method.py"
DATA = 'name = "fake"\npadding = 1\nfake_train = 64\nfake_test = 48\nfake_classes = 8\nfake_pixels = 8'
RECIPE = f"""
[student]
name = "digits_student"
[teacher]
recipe = "teacher.toml"
[data]
{DATA}
[method]
name = "mine.py:CheckedDKDSettings"
wrong = 0.5
[train]
epochs = 1
batch_size = 16
schedule = {{ name = "onecycle" }}
[compare.methods]
strict = {{ name = "mine.py:CheckedDKDSettings" }}
"""

COMMANDS = [
    ("train", "recipe.toml", "--out", "run"),
    ("compare", "recipe.toml", "--methods", "supervised,strict", "--seeds", "1", "--out", "side"),
    ("cache", "recipe.toml"),
    ("evaluate", "done"),
    (
        *("tune", "recipe.toml", "--out", "tuned", "--trials", "1", "--epochs", "1", "--range", "wrong=0.1..1"),
        *("--no-control", "--set", "data.validation=0.25", "--set", "teacher.recipe.data.validation=0.25"),
    ),
    ("show", "recipe.toml"),
]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a recipe and a copy of the example, which leaves a trace when it is run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "teacher.toml").write_text(
        f'[student]\nname = "digits_teacher"\n[data]\n{DATA}\n[train]\nepochs = 1\nbatch_size = 16\n'
    )
    (tmp_path / "recipe.toml").write_text(RECIPE)
    trace = f'\nfrom pathlib import Path\nPath(r"{tmp_path / "was_run"}").touch()\n'
    (tmp_path / "mine.py").write_text(EXAMPLE.read_text() + trace)
    return tmp_path


@pytest.fixture
def commands(decant: Run, here: Path) -> list[tuple[str, ...]]:
    """Every command that loads a recipe, with a finished run for the one that needs it."""
    assert decant("train", "recipe.toml", "--trust-code", "--out", "done", "--device", "cpu")[0] == 0
    (here / "was_run").unlink()
    return [command if command[0] == "show" else (*command, "--device", "cpu") for command in COMMANDS]


def test_these_are_all_commands_that_load_a_recipe_of_the_user_s() -> None:
    names = {command.callback.__name__ for command in app.registered_commands if command.callback is not None}
    # No recipe, ours, of detectors, or or none but a student's file; `report` tells what it leaves out.
    without_code = {"list_", "study", "reproduce", "predict", "distill", "doctor", "export", "card", "push", "report"}
    assert names - without_code == {command[0] for command in COMMANDS}


def test_no_command_runs_the_file_unasked(decant: Run, here: Path, commands: list[tuple[str, ...]]) -> None:
    (here / "mine.py").write_text((here / "mine.py").read_text() + "# not loaded before by this process\n")
    (here / "done" / "mine.py").unlink()
    (here / "done" / "mine.py").write_text("raise SystemExit('was run')")
    for command in commands:
        code, out, err = decant(*command)
        assert (code, out) == (2, ""), command
        assert "mine.py:CheckedDKDSettings is code: to load it is to run all of" in err
        assert "--trust-code" in err
    assert not (here / "was_run").exists()
    assert not (here / "run").exists()


def test_every_command_serves_a_trusted_file(decant: Run, here: Path, commands: list[tuple[str, ...]]) -> None:
    for command in commands:
        code, out, err = decant(*command, "--trust-code")
        assert (code, err) == (0, ""), command
        assert out
    assert "wrong 0, sha256" in (here / "side" / "README.md").read_text().replace("*", "")
    assert "--seeds 1 --trust-code" in (here / "side" / "README.md").read_text()
    assert (here / "side" / "strict" / "seed-0" / "mine.py").is_file()


def test_a_run_goes_on_from_its_own_folder(decant: Run, here: Path, commands: list[tuple[str, ...]]) -> None:
    (here / "mine.py").unlink()
    code, out, _ = decant("train", "done", "--trust-code", "--device", "cpu")
    assert code == 0
    assert "finished before, nothing to do" in out
