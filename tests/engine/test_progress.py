import io

import pytest
from rich.console import Console

from decant.engine.progress import Bars, Lines, Reporter


def console(*, terminal: bool) -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, force_terminal=terminal, width=100, color_system=None), out


def test_lines_show_what_matters_and_the_status_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    target, out = console(terminal=False)
    lines = Lines(target, seconds_between=15.0)
    lines.start("student", 100)
    lines.say("a [red] word is no colour")
    for now in (10.0, 14.9, 16.0, 20.0, 31.0):
        lines.advance()
        lines.status(f"at {now}")
    lines.stop()
    assert out.getvalue() == "a [red] word is no colour\nat 16.0\nat 31.0\n"


def test_a_bar_shows_the_batches_and_is_gone_at_the_end() -> None:
    target, out = console(terminal=True)
    bars = Bars(target)
    bars.start("student", 8, done=3)
    bars.advance()
    bars.status("top-1 50.00")
    bars.say("a line above it")
    bars.stop()
    shown = out.getvalue()
    for told in ("4/8", "top-1 50.00", "a line above it"):
        assert told in shown
    bars.advance()
    bars.status("after the end")
    bars.stop()
    assert "after the end" not in out.getvalue()


def test_a_second_bar_takes_the_place_of_the_first() -> None:
    target, out = console(terminal=True)
    bars = Bars(target)
    bars.start("teacher", 2)
    bars.start("student", 4)
    bars.stop()
    assert "student" in out.getvalue()


def test_silence_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = Reporter()
    reporter.start("student", 8)
    reporter.say("nothing")
    reporter.advance()
    reporter.status("nothing")
    reporter.stop()
    assert capsys.readouterr() == ("", "")
