"""Tables of what was measured, on the screen and in pages.

A page holds `<!-- benchmark: NAME -->` and `<!-- end -->`; what stands between the two lines is made from
results/benchmarks/NAME.json, be it of `python -m benchmarks` or of `python -m benchmarks.imagenet_cost`.
`python -m benchmarks.table PAGE ...` writes it anew.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

from benchmarks.first_run import first_run_markdown
from benchmarks.imagenet_cost import imagenet_cost_markdown
from benchmarks.machine import machine

_BLOCK = re.compile(r"<!-- benchmark: (?P<name>[\w.-]+) -->\n.*?<!-- end -->", re.DOTALL)


def contest_markdown(contest: dict[str, Any]) -> str:
    """One contest: speeds relative to its first row, the share of the peak if it has one, and what follows."""
    rows = contest["rows"]
    peak = any(row["share"] is not None for row in rows)
    memory = any(row["memory"] is not None for row in rows)
    heads = [contest["title"], "time", "speed", "range"]
    heads += [*(["share of peak"] if peak else []), *([f"extra memory, {contest['unit']} = 1"] if memory else [])]
    lines = [heads, ["---", *("---:" for _ in heads[1:])]]
    for row in rows:
        cells = [
            row["name"],
            _time(row["seconds"]),
            f"{row['speed']:.2f}",
            f"{row['speed_low']:.2f} to {row['speed_high']:.2f}",
        ]
        if peak:
            cells.append("" if row["share"] is None else f"{100 * row['share']:.0f}%")
        if memory:
            cells.append("" if row["memory"] is None else f"{row['memory']:.2f}")
        lines.append(cells)
    table = "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
    return f"{table}\n{more}" if (more := first_run_markdown(contest)) else table


def group_markdown(group: dict[str, Any]) -> str:
    """All contests of a group, and what they ran on."""
    tables = "\n".join(contest_markdown(contest) for contest in group["contests"])
    return f"{tables}\n{where(group)}\n"


def refreshed(text: str, results: Path) -> str:
    """The page with every block made from ``results`` anew.

    Raises:
        FileNotFoundError: a block names a measurement that is not there.
    """

    def block(match: re.Match[str]) -> str:
        path = results / f"{match['name']}.json"
        if not path.is_file():
            raise FileNotFoundError(f"the page has a block for {match['name']!r}, but there is no {path}")
        found = json.loads(path.read_text(encoding="utf-8"))
        if "groups" in found:
            body = "\n".join(f"**{name}**\n\n{group_markdown(group)}" for name, group in found["groups"].items())
        else:
            body = imagenet_cost_markdown(found)
        return f"<!-- benchmark: {match['name']} -->\n{body}<!-- end -->"

    return _BLOCK.sub(block, text)


def where(group: dict[str, Any]) -> str:
    """What a group was measured on, and how."""
    settings = ", ".join(f"{name} {value}" for name, value in group["allocator"].items()) or "the system's"
    return (
        f"{machine(group['environment'])}; allocator: {settings}; median of {group['repeats']} rounds, "
        "range over the rounds."
    )


def _time(seconds: float) -> str:
    for unit, factor in (("s", 1.0), ("ms", 1e3)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"


def main(pages: list[str]) -> None:
    """Rewrite the pages from results/benchmarks beside them."""
    for page in map(Path, pages):
        text = page.read_text(encoding="utf-8")
        if (fresh := refreshed(text, Path("results/benchmarks"))) != text:
            page.write_text(fresh, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
