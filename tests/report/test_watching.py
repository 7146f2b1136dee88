from pathlib import Path

import pytest

from decant.evidence.gathering import Gathered
from decant.report.watching import watch
from evidence.invented import write_run


def test_the_page_is_written_until_nothing_is_under_way(tmp_path: Path) -> None:
    """First there is nothing, then an unfinished run, then its end."""
    wrote: list[tuple[int, int | None]] = []
    waited: list[float] = []

    def write(gathered: Gathered, refresh: int | None) -> None:
        wrote.append((len(gathered.groups), refresh))

    def pause(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 1:
            write_run(tmp_path / "run", finished=False)
        else:
            write_run(tmp_path / "whole", data={"name": "other"})
            (tmp_path / "run" / "summary.json").write_bytes((tmp_path / "whole" / "summary.json").read_bytes())

    gathered = watch([tmp_path], write, every=7, pause=pause)
    assert wrote == [(0, 7), (1, 7), (2, None)]
    assert waited == [7, 7]
    assert len(gathered.groups) == 2


def test_an_interrupt_leaves_a_page_that_stays_as_it_is(tmp_path: Path) -> None:
    write_run(tmp_path / "run", finished=False)
    wrote: list[int | None] = []

    def pause(seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch([tmp_path], lambda gathered, refresh: wrote.append(refresh), every=7, pause=pause)
    assert wrote == [7, None]
