"""`decant tune`: a method's settings by short runs on validation images."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from decant.cli.options import (
    DATA,
    TEACHERS,
    CacheOption,
    DataOption,
    DeviceOption,
    DownloadOption,
    RecipeArgument,
    SetOption,
    TeachersOption,
    ThreadsOption,
    TrustOption,
    UnlabelledOption,
    WorkersOption,
    refuse_unused,
    use_threads,
    workers_of,
)


def tune(
    recipe: RecipeArgument,
    out: Annotated[Path, typer.Option("--out", help="Folder of all trials and of the result.")],
    trials: Annotated[int, typer.Option("--trials", min=1, help="Of the method; its control gets as many.")] = 20,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, help="Of a trial. [default: a quarter of the recipe's]")
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Runs per trial.")] = 1,
    ranges: Annotated[
        list[str] | None,
        typer.Option("--range", help="Search a setting: beta=0.5..8; repeatable.", metavar="SETTING=LOW..HIGH"),
    ] = None,
    control: Annotated[bool, typer.Option("--control/--no-control", help="Search dkd's control as well.")] = True,
    changes: SetOption = None,
    teachers: TeachersOption = TEACHERS,
    data: DataOption = DATA,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    download: DownloadOption = False,
    workers: WorkersOption = None,
    cache: CacheOption = None,
    unlabelled: UnlabelledOption = None,
    trust_code: TrustOption = False,
) -> None:
    """Choose alpha, beta and temperature (or what --range says) on validation images. Goes on where it stopped."""
    from decant.engine import Places
    from decant.engine.progress import reporter_for
    from decant.engine.search import Range
    from decant.engine.tune import BEST_FILE
    from decant.engine.tune import tune as tune_recipe
    from decant.engine.tuning_findings import tuning_findings
    from decant.recipe import find_recipe, load_recipe
    from decant.report import write_findings

    use_threads(threads)
    settings = load_recipe(find_recipe(recipe), changes or (), overrides_beside=Path(), trust_code=trust_code)
    refuse_unused(unlabelled, settings.data.unlabelled)
    space = {}
    for each in ranges or ():
        setting, _, where = each.partition("=")
        space[setting.strip()] = Range.parse(where)
    console = Console()
    tuned = tune_recipe(
        settings,
        out,
        Places(teachers, data, device, download, workers=workers_of(workers), cache=cache, unlabelled=unlabelled),
        trials=trials,
        epochs=epochs,
        seeds=seeds,
        ranges=space,
        control=control,
        reporter=reporter_for(console),
    )
    command = ["decant", "tune", recipe, "--trials", str(trials), "--epochs", str(tuned.epochs), "--seeds", str(seeds)]
    command += [part for each in ranges or () for part in ("--range", each)]
    command += [part for change in changes or () for part in ("--set", change)]
    command += ["--unlabelled", "FOLDER"] if unlabelled is not None else []
    write_findings(tuning_findings(tuned), out, command=" ".join(command + ([] if control else ["--no-control"])))
    for search in tuned.searches:
        told = ", ".join(f"{name} {value:g}" for name, value in search.best.items())
        best = f"{settings.metric_name} {max(score for _, score in search.trials):.2f}"
        console.print(f"{search.name}: {told} ({best} on validation)", highlight=False, markup=False)
    console.print(
        f"{out / BEST_FILE}: the recipe with these; {out}: README.md, figure.png, all trials",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
