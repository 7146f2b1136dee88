"""What `--help` shows is what was written, whatever stands in it."""

import re
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from decant.cli import app

ROOT: Any = typer.main.get_command(app)


def commands(group: Any, *names: str) -> list[tuple[str, ...]]:
    """The words of every command below a group."""
    if not hasattr(group, "commands"):
        return [names]
    return [words for name, each in group.commands.items() for words in commands(each, *names, name)]


def plain(text: str) -> str:
    """The letters, digits and brackets of a text, whatever lines and boxes they stand in."""
    return re.sub(r"[^\w\[\]]", "", re.sub(r"\x1b\[[0-9;]*m", "", text))


@pytest.mark.parametrize("words", commands(ROOT), ids=" ".join)
def test_nothing_in_square_brackets_is_lost(words: tuple[str, ...]) -> None:
    command = ROOT
    for word in words:
        command = command.commands[word]
    written = [option.help for option in command.params if option.help and "[" in option.help]
    shown = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "400", "NO_COLOR": "1"})
    assert shown.exit_code == 0
    for text in written:
        for bracketed in re.findall(r"\[[^\]]+\]", text):
            assert plain(bracketed) in plain(shown.output), f"{' '.join(words)}: {text}"


def test_there_is_something_to_lose() -> None:
    texts = [option.help or "" for name in ("distill", "export") for option in ROOT.commands[name].params]
    assert sum("[" in text for text in texts) > 3
