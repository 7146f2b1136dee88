"""Options of commands that read pictures."""

import os
from pathlib import Path
from typing import Annotated

import typer

WorkersOption = Annotated[
    int | None,
    typer.Option("--workers", min=0, help="Processes that read pictures. [default: one per core, at most 8]"),
]
CacheOption = Annotated[
    Path | None, typer.Option("--cache", help="Where the check of pictures is kept. [default: with the teachers]")
]


def workers_of(wanted: int | None) -> int:
    """How many processes read pictures; no result depends on it."""
    return min(8, os.cpu_count() or 1) if wanted is None else wanted
