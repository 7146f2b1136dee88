"""`decant study`: one of the paper's analyses, from its runs to its page."""

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from decant.cli.options import (
    DATA,
    TEACHERS,
    DataOption,
    DeviceOption,
    DownloadOption,
    ResultsOption,
    TeachersOption,
    ThreadsOption,
    TrackOption,
    trackers_of,
    use_threads,
)


def study(
    name: Annotated[str, typer.Argument(help="A study of `decant list studies`.")],
    quick: Annotated[bool, typer.Option("--quick", help="A size for two CPU cores: hours instead of weeks.")] = False,
    demo: Annotated[bool, typer.Option("--demo", help="A size for a look: two tiny networks on digits.")] = False,
    seeds: Annotated[int | None, typer.Option("--seeds", min=1, help="Of every run. [default: the size's]")] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder of all studies, which share runs.")] = Path("runs/studies"),
    results: ResultsOption = None,
    teachers: TeachersOption = TEACHERS,
    data: DataOption = DATA,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    download: DownloadOption = False,
    track: TrackOption = "",
) -> None:
    """Run one of the paper's analyses and write its page. What is finished is not run again."""
    from decant.engine import Places
    from decant.engine.parallel import is_main_process
    from decant.engine.progress import reporter_for
    from decant.engine.publish import publish_study, refuse_study_results
    from decant.report import write_findings
    from decant.studies import SIZES, find_study, plans_of, run_study

    if quick and demo:
        raise ValueError("--quick and --demo are two sizes: give one of them, or none for the paper's")
    console = Console()
    size = SIZES["quick" if quick else "demo" if demo else "paper"]()
    asked = find_study(name)
    use_threads(threads)
    folder = out / size.name
    plans = plans_of(asked, size, folder, seeds)
    kept = results / size.name if results is not None else None
    if kept is not None:
        refuse_study_results(name, plans, kept)
    for page in (above / name for above in (folder, kept) if above is not None):
        if (page / "README.md").exists() and not (page / "findings.json").exists():
            raise FileExistsError(f"{page} holds a page that is not a study's; give another folder")
    places = Places(teachers=teachers, data=data, device=device, download=download, track=trackers_of(track))
    found = run_study(name, asked, size, folder, places, seeds=seeds, reporter=reporter_for(console))
    if not is_main_process():
        return
    command = ["decant", "study", name, *([f"--{size.name}"] if size.name != "paper" else [])]
    command += ["--seeds", str(seeds)] if seeds is not None else []
    write_findings(found, folder / name, command=shlex.join(command))
    for line in (*found.shown, *found.not_shown):
        console.print(line, highlight=False, markup=False)
    if kept is not None:
        publish_study(folder / name, plans, teachers, kept)
    console.print(f"in {folder / name}: README.md, figure.png, findings.json", highlight=False, soft_wrap=True)
