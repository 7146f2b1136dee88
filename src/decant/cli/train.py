"""`decant train`, and what goes before and after it: `decant cache` and `decant evaluate`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from decant.cli import detection
from decant.cli.options import (
    DATA,
    KEEP,
    TEACHERS,
    CacheOption,
    DataOption,
    DeviceOption,
    DownloadOption,
    KeepOption,
    OnDeviceOption,
    OutOption,
    RecipeArgument,
    SetOption,
    ShardOption,
    TeachersOption,
    ThreadsOption,
    TrackOption,
    TrustOption,
    UnlabelledOption,
    WorkersOption,
    refuse_for_detectors,
    refuse_unused,
    trackers_of,
    use_threads,
    workers_of,
)
from decant.cli.recipe_names import default_folder
from decant.cli.scores import score_table


def train(
    recipe: RecipeArgument,
    changes: SetOption = None,
    out: OutOption = None,
    teachers: TeachersOption = TEACHERS,
    data: DataOption = DATA,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    download: DownloadOption = False,
    workers: WorkersOption = None,
    cache: CacheOption = None,
    unlabelled: UnlabelledOption = None,
    table_on_device: OnDeviceOption = False,
    keep: KeepOption = KEEP,
    shard: ShardOption = False,
    track: TrackOption = "",
    trust_code: TrustOption = False,
) -> None:
    """Train the student of a recipe, its teacher first. An interrupted run goes on where it stopped."""
    from decant.engine import Places
    from decant.engine import train as train_recipe
    from decant.engine.parallel import is_main_process
    from decant.engine.progress import reporter_for
    from decant.recipe import find_recipe, load_recipe

    path = find_recipe(recipe)
    use_threads(threads)
    folder = out or default_folder(path)
    places = Places(
        teachers,
        data,
        device,
        download,
        table_on_device,
        workers_of(workers),
        cache,
        keep,
        shard=shard,
        unlabelled=unlabelled,
        track=trackers_of(track),
    )
    if detection.is_detection(path, changes or ()):
        refuse_for_detectors(unlabelled, trust_code)
        detection.train(path, changes or (), folder, places, Console())
        return
    settings = load_recipe(path, changes or (), overrides_beside=Path(), trust_code=trust_code)
    refuse_unused(unlabelled, settings.data.unlabelled)
    summary = train_recipe(settings, folder, places, reporter=reporter_for(Console()))
    if not is_main_process():
        return
    last, best, metric, name = summary["last"], summary["best"], settings.metric, settings.metric_name
    Console().print(
        f"{summary['network']}: {name} {last[metric]:.2f}% on {last['split']} after epoch {last['epoch']} "
        f"(best {best[metric]:.2f}% after epoch {best['epoch']}); weights in {folder / 'student.safetensors'}",
        highlight=False,
        soft_wrap=True,
    )


def cache(
    recipe: RecipeArgument,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, help="The first so many epochs. [default: all of the recipe's]")
    ] = None,
    all_views: Annotated[bool, typer.Option("--all", help="Every view of every image, for any seed.")] = False,
    changes: SetOption = None,
    teachers: TeachersOption = TEACHERS,
    data: DataOption = DATA,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    download: DownloadOption = False,
    trust_code: TrustOption = False,
) -> None:
    """Work out ahead what the teacher of a recipe says to the views that it will meet. Goes on where it stopped."""
    from decant.engine import Places
    from decant.engine.fill_table import fill_table
    from decant.engine.parallel import is_main_process
    from decant.engine.progress import reporter_for
    from decant.recipe import find_recipe, load_recipe

    settings = load_recipe(find_recipe(recipe), changes or (), overrides_beside=Path(), trust_code=trust_code)
    use_threads(threads)
    places = Places(teachers=teachers, data=data, device=device, download=download)
    filled = fill_table(settings, places, epochs=epochs, all_views=all_views, reporter=reporter_for(Console()))
    if not is_main_process():
        return
    unused = settings.train.teacher_cache == "none"
    hint = "; runs use it with --set train.teacher_cache=views" if unused else ""
    Console().print(
        f"{filled.worked_out:,} rows worked out, {filled.share:.1%} of the table filled: {filled.folder}{hint}",
        highlight=False,
        soft_wrap=True,
    )


def evaluate(
    run: Annotated[Path, typer.Argument(help="The folder of a run.")],
    weights: Annotated[Path | None, typer.Option("--weights", help="Other weights of the same network.")] = None,
    data: DataOption = DATA,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    download: DownloadOption = False,
    workers: WorkersOption = None,
    cache: CacheOption = None,
    trust_code: TrustOption = False,
) -> None:
    """Evaluate the student of a run on the test images."""
    from decant.engine import Places
    from decant.engine.judge import evaluate_run

    use_threads(threads)
    places = Places(TEACHERS, data, device, download, workers=workers_of(workers), cache=cache)
    if (run / "recipe.json").is_file() and detection.is_detection(run / "recipe.json"):
        detection.evaluate(run, weights, places, Console())
        return
    judged = evaluate_run(run, places, weights=weights, trust_code=trust_code)
    Console().print(score_table(judged))
