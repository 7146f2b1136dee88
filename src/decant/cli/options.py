"""Options and arguments that several commands have."""

import os
from pathlib import Path
from typing import Annotated

import typer

RecipeArgument = Annotated[
    str, typer.Argument(help="A recipe file, or the name of a shipped recipe such as demo (see `decant list recipes`).")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change a setting: method.beta=4.0; repeatable.", metavar="KEY=VALUE"),
]
OutOption = Annotated[Path | None, typer.Option("--out", help="Folder of the run. [default: below runs]")]
ResultsOption = Annotated[
    Path | None, typer.Option("--results", help="Also keep the evidence in this folder, without weights.")
]
TeachersOption = Annotated[Path, typer.Option("--teachers", help="Where trained teachers are kept and found again.")]
DataOption = Annotated[
    Path, typer.Option("--data", help="Folder of the data sets on disk; or of pictures, or a table.")
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
ThreadsOption = Annotated[int | None, typer.Option("--threads", min=1, help="CPU threads. [default: torch's choice]")]
OnDeviceOption = Annotated[
    bool, typer.Option("--table-on-device", help="Keep the table of train.teacher_cache whole on the device.")
]
DownloadOption = Annotated[bool, typer.Option("--download", help="Fetch a missing data set into --data.")]
TrustOption = Annotated[
    bool, typer.Option("--trust-code", help="Run the Python files that methods and networks come from.")
]
WorkersOption = Annotated[
    int | None,
    typer.Option("--workers", min=0, help="Processes that read pictures. [default: one per core, at most 8]"),
]
CacheOption = Annotated[
    Path | None, typer.Option("--cache", help="Where the check of pictures is kept. [default: with the teachers]")
]
ShardOption = Annotated[
    bool, typer.Option("--shard", help="Divide student and teacher among the processes rather than copy them.")
]
UnlabelledOption = Annotated[
    Path | None,
    typer.Option("--unlabelled", help="A folder of pictures without labels, to be learned from as well."),
]
KeepOption = Annotated[
    int, typer.Option("--keep", min=1, help="Resume states that are kept: if the newest is damaged, the next serves.")
]
TrackOption = Annotated[
    str, typer.Option("--track", help="Also tell the numbers to these: tensorboard,wandb,mlflow.", metavar="NAMES")
]

METHODS_TO_COMPARE = "supervised,kd,kd-matched,dkd"
"""The question that Decant is about: does distillation help, and does decoupling?"""
MULTILABEL_TO_COMPARE = "bernoulli,bernoulli_kd,bernoulli_kd-matched,bernoulli_dkd"
"""The same of any number of classes to a picture."""

TEACHERS, DATA = Path("runs/teachers"), Path("data")
"""Defaults of --teachers and --data."""
KEEP = 2
"""Default of --keep."""


def workers_of(wanted: int | None) -> int:
    """How many processes read pictures; no result depends on it."""
    return min(8, os.cpu_count() or 1) if wanted is None else wanted


def refuse_unused(unlabelled: Path | None, asked_for: bool) -> None:
    """Raise ValueError for pictures without labels that the recipe does not ask for: they decide what is trained."""
    if unlabelled is not None and not asked_for:
        raise ValueError("--unlabelled is given, but the recipe does not ask for it: add --set data.unlabelled=true")


def refuse_for_detectors(unlabelled: Path | None, trust_code: bool) -> None:
    """Raise ValueError for what recipes of detectors have no use for."""
    given = {"--unlabelled": unlabelled is not None, "--trust-code": trust_code}
    if unused := [option for option, is_given in given.items() if is_given]:
        raise ValueError(
            f"{' and '.join(unused)} cannot be given with the recipe of a detector, which learns from labelled "
            "pictures alone and runs no code of others; leave it out"
        )


def trackers_of(names: str) -> tuple[str, ...]:
    """The names in a comma-separated list, each once; what cannot be told anything is refused before a run begins."""
    from decant.engine.tracking import require_trackers

    found = tuple(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    require_trackers(found)
    return found


def use_threads(threads: int | None) -> None:
    """So many CPU threads for torch; None leaves its choice."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
