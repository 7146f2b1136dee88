"""The first run with a table of the teacher's logits, which it fills on the way: worked out from measured steps."""

from typing import Any

EMPTY, FULL = "teacher's table, empty", "teacher's table, full"
"""The rows of a contest that are mixed: no view of a step is in the table, and all are."""
_VIEWS, _EPOCHS = 162, 240


def share_of_misses(views: int, epochs: int) -> float:
    """Expected share of an image's views, one of ``views`` an epoch, all equally likely, that come for the first time.

    >>> round(share_of_misses(views=162, epochs=240), 4)
    0.5222
    """
    return views * (1 - (1 - 1 / views) ** epochs) / epochs


def first_run_markdown(contest: dict[str, Any]) -> str:
    """Speed of such a run of 240 epochs, in the contest's unit of speed; nothing where the steps were not measured."""
    speeds = {row["name"]: row["speed"] for row in contest["rows"]}
    misses = share_of_misses(_VIEWS, _EPOCHS)
    lines = []
    for suffix in ("", ", compiled"):
        empty, full = speeds.get(EMPTY + suffix), speeds.get(FULL + suffix)
        if empty is not None and full is not None:
            speed = 1 / (misses / empty + (1 - misses) / full)
            lines.append(f"| {_EPOCHS} epochs, table filled on the way{suffix} | {speed:.2f} |\n")
    if not lines:
        return ""
    head = f"| {contest['title']}: worked out from the steps above, {1 - misses:.1%} of the rows found | speed |\n"
    return "".join((head, "| --- | ---: |\n", *lines))
