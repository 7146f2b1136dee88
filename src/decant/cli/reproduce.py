"""`decant reproduce`: all comparisons of a protocol, one after the other, beside what papers report."""

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from decant.cli.comparing import Asked, compare_and_write, names_of, refuse_early
from decant.cli.options import (
    DATA,
    METHODS_TO_COMPARE,
    TEACHERS,
    DataOption,
    DeviceOption,
    DownloadOption,
    OnDeviceOption,
    ResultsOption,
    SetOption,
    TeachersOption,
    ThreadsOption,
    TrackOption,
    trackers_of,
    use_threads,
)

_PAGE = "README.md"


def reproduce(
    suite: Annotated[str, typer.Argument(help="cifar100, the protocol of the published tables, or quick.")],
    pairs: Annotated[
        str | None, typer.Option("--pairs", help="Comma-separated, as resnet56-resnet20. [default: all]")
    ] = None,
    methods: Annotated[str, typer.Option("--methods", help="Comma-separated names.")] = METHODS_TO_COMPARE,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="How many seeds; a verdict needs 3.")] = 3,
    changes: SetOption = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder of all runs. [default: below runs]")] = None,
    results: ResultsOption = None,
    teachers: TeachersOption = TEACHERS,
    data: DataOption = DATA,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    download: DownloadOption = False,
    table_on_device: OnDeviceOption = False,
    track: TrackOption = "",
) -> None:
    """Run every comparison of a protocol, and put the numbers beside the published ones.

    What is finished is not run again; the page over all pairs is written anew when a pair is done.
    """
    from decant.engine import Places
    from decant.engine.checkpoint import write_text
    from decant.engine.parallel import is_main_process
    from decant.engine.suite import SUITES, chosen
    from decant.engine.suite import suite as suite_of
    from decant.evidence.published import is_protocol
    from decant.recipe import with_overrides
    from decant.report.reproduction import reproduction_page

    recipes = {
        pair: with_overrides(recipe, changes or (), where=pair)
        for pair, recipe in chosen(suite_of(suite), None if pairs is None else names_of(pairs)).items()
    }
    use_threads(threads)
    places = Places(teachers, data, device, download, table_on_device, track=trackers_of(track))
    runs = out or Path("runs/reproduce") / suite
    kept = results / suite if results is not None else None
    words = ["decant", "reproduce", suite, *(["--pairs", pairs] if pairs is not None else [])]
    words += ["--methods", methods, "--seeds", str(seeds)]
    words += [part for change in changes or () for part in ("--set", change)]
    asked = [
        Asked(recipe, names_of(methods), seeds, runs / pair, words, kept / pair if kept is not None else None)
        for pair, recipe in recipes.items()
    ]
    for each in asked:  # before the first of them takes days
        refuse_early(each)
    pages = [folder for folder in (runs, kept) if folder is not None]
    for folder in pages:
        if (folder / _PAGE).exists() and not any(folder.glob("*/comparison.json")):
            raise FileExistsError(f"{folder / _PAGE} is not a page of comparisons; give another folder")
    console = Console()
    published = is_protocol(suite, changes or ())
    title = f"{suite}, with changed settings" if changes and not published else f"{suite}: {SUITES[suite]}"
    for each in asked:
        compare_and_write(each, places, console)
        for folder in pages if is_main_process() else ():
            page = reproduction_page(folder, title=title, command=shlex.join(words), published=published)
            write_text(folder / _PAGE, page)
    if is_main_process():
        console.print(f"{pages[-1] / _PAGE}: all pairs side by side", highlight=False, soft_wrap=True)
