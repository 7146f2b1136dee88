"""`decant reproduce`: all comparisons of a protocol, one after the other, beside what papers report."""

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from decant.cli.comparing import Asked, compare_and_write, names_of, refuse_early
from decant.cli.options import (
    DATA,
    TEACHERS,
    DataOption,
    DeviceOption,
    DownloadOption,
    OnDeviceOption,
    SetOption,
    TeachersOption,
    ThreadsOption,
    use_threads,
)

_METHODS = "supervised,kd,kd-matched,dkd"


def reproduce(
    suite: Annotated[str, typer.Argument(help="cifar100, the protocol of the published tables, or quick.")],
    pairs: Annotated[
        str | None, typer.Option("--pairs", help="Comma-separated, as resnet56-resnet20. [default: all]")
    ] = None,
    methods: Annotated[str, typer.Option("--methods", help="Comma-separated names.")] = _METHODS,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="How many seeds; a verdict needs 3.")] = 3,
    changes: SetOption = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder of all runs. [default: below runs]")] = None,
    results: Annotated[
        Path, typer.Option("--results", help="Where the evidence is copied to, without weights.")
    ] = Path("results"),
    teachers: TeachersOption = TEACHERS,
    data: DataOption = DATA,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    download: DownloadOption = False,
    table_on_device: OnDeviceOption = False,
) -> None:
    """Run every comparison of a protocol, and put the numbers beside the published ones.

    What is finished is not run again; each pair's evidence is copied when the pair is done.
    """
    from decant.engine import Places
    from decant.engine.checkpoint import write_text
    from decant.engine.parallel import is_main_process
    from decant.engine.suite import SUITES, chosen
    from decant.engine.suite import suite as suite_of
    from decant.recipe import with_overrides
    from decant.report.reproduction import reproduction_page

    recipes = {
        pair: with_overrides(recipe, changes or (), where=pair)
        for pair, recipe in chosen(suite_of(suite), None if pairs is None else names_of(pairs)).items()
    }
    use_threads(threads)
    places = Places(teachers, data, device, download, table_on_device)
    runs, kept = out or Path("runs/reproduce") / suite, results / suite
    words = ["decant", "reproduce", suite, *(["--pairs", pairs] if pairs is not None else [])]
    words += ["--methods", methods, "--seeds", str(seeds)]
    words += [part for change in changes or () for part in ("--set", change)]
    asked = [
        Asked(recipe, names_of(methods), seeds, runs / pair, words, results=kept / pair)
        for pair, recipe in recipes.items()
    ]
    for each in asked:  # before the first of them takes days
        refuse_early(each)
    console = Console()
    for each in asked:
        compare_and_write(each, places, console)
        if is_main_process():
            page = reproduction_page(kept, suite, command=shlex.join(words), about=SUITES[suite])
            write_text(kept / "README.md", page)
    console.print(f"{kept}: all pairs side by side in README.md", highlight=False, soft_wrap=True)
