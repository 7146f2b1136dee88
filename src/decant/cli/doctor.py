"""`decant doctor`: what to put into an issue report."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from decant.cli.options import DeviceOption, ThreadsOption, use_threads


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    compiling: Annotated[bool, typer.Option(help="Try torch.compile too.")] = True,
    folder: Annotated[Path, typer.Option("--runs", help="Where the free disk is looked up.")] = Path("runs"),
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """What this machine has and whether Decant works on it, for an issue report; exit code 1 where it does not."""
    from decant.engine.doctor import describe_machine, report, self_test

    use_threads(threads)
    machine, checks = describe_machine(device, folder), list(self_test(device, compiling=compiling))
    console = Console()
    if as_json:
        console.print_json(json.dumps({**machine, "checks": [asdict(check) for check in checks]}))
    else:
        console.print(report(machine, checks), highlight=False, markup=False, soft_wrap=True)
    raise typer.Exit(any(check.passed is False for check in checks))
