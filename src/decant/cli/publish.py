"""`decant card` and `decant push`: a student's page, and sending both to a hub."""

import importlib.util
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

StudentFolder = Annotated[Path, typer.Argument(help="The folder of a run, or of decant distill.")]


def card(run: StudentFolder) -> None:
    """Write model-card.md beside a student: how it was made and measured. One that you changed is left as it is."""
    from decant.engine.checkpoint import CARD_FILE
    from decant.report.model_card import command_of, write_card

    if not write_card(run, command=command_of(run)):
        raise FileExistsError(f"{run / CARD_FILE} was changed by hand and is left as it is; move it away for a new one")
    Console().print(
        f"{run / CARD_FILE} written; its licence is for you to fill in", highlight=False, markup=False, soft_wrap=True
    )


def push(
    run: StudentFolder,
    to: Annotated[str, typer.Option("--to", help="hf:owner/name, a repository of the Hugging Face hub.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be sent.")] = False,
    public: Annotated[bool, typer.Option("--public", help="Make a new repository a public one.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Send a student, its card and what was exported of it to a hub, after saying what goes where."""
    from decant.report.hub import parcel, send

    sending = parcel(run, to, private=not public)
    for line in sending.lines:
        Console().print(line, highlight=False, markup=False, soft_wrap=True)
    if dry_run:
        Console().print("nothing was sent (--dry-run)")
        return
    if importlib.util.find_spec("huggingface_hub") is None:
        raise ValueError("sending needs huggingface_hub, which is not installed: pip install 'decant-kd[hf]'")
    if not yes:
        typer.confirm("Send it?", abort=True)
    from huggingface_hub import HfApi

    send(sending, HfApi())
    Console().print("sent", highlight=False)
