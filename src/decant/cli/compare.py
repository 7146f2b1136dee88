"""`decant compare`: several methods on equal terms."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from decant.cli import detection
from decant.cli.comparing import Asked, compare_and_write, names_of
from decant.cli.options import (
    DATA,
    METHODS_TO_COMPARE,
    MULTILABEL_TO_COMPARE,
    TEACHERS,
    CacheOption,
    DataOption,
    DeviceOption,
    DownloadOption,
    OnDeviceOption,
    OutOption,
    RecipeArgument,
    ResultsOption,
    SetOption,
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
from decant.cli.recipe_names import recipe_name


def compare(
    recipe: RecipeArgument,
    methods: Annotated[
        str | None,
        typer.Option("--methods", help=f"Comma-separated names. [default: {METHODS_TO_COMPARE}, or the task's own]"),
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="How many seeds; a verdict needs 3.")] = 5,
    changes: SetOption = None,
    out: OutOption = None,
    results: ResultsOption = None,
    teachers: TeachersOption = TEACHERS,
    data: DataOption = DATA,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    download: DownloadOption = False,
    workers: WorkersOption = None,
    cache: CacheOption = None,
    unlabelled: UnlabelledOption = None,
    table_on_device: OnDeviceOption = False,
    track: TrackOption = "",
    trust_code: TrustOption = False,
) -> None:
    """Train several methods on equal terms and say in words what the difference shows."""
    from decant.engine import Places
    from decant.recipe import find_recipe, load_recipe

    path = find_recipe(recipe)
    settings: Any
    if detection.is_detection(path, changes or ()):
        refuse_for_detectors(unlabelled, trust_code)
        settings = detection.load_detection(path, changes or (), overrides_beside=Path())
    else:
        settings = load_recipe(path, changes or (), overrides_beside=Path(), trust_code=trust_code)
        refuse_unused(unlabelled, settings.data.unlabelled)
    if methods is None:
        methods = MULTILABEL_TO_COMPARE if settings.task == "multilabel" else METHODS_TO_COMPARE
    use_threads(threads)
    # As typed, so that it can be typed again; but a page that is kept holds no path of one machine.
    named = recipe if path == Path(recipe) and not path.is_absolute() else recipe_name(path)
    command = ["decant", "compare", named, "--methods", ",".join(names_of(methods)), "--seeds", str(seeds)]
    command += [part for change in changes or () for part in ("--set", change)]
    command += ["--unlabelled", "FOLDER"] if unlabelled is not None else []
    command += ["--trust-code"] if trust_code else []
    command += ["--out", str(out)] if out is not None and not out.is_absolute() else []
    asked = Asked(settings, names_of(methods), seeds, out or Path("runs/compare") / recipe_name(path), command, results)
    places = Places(
        teachers,
        data,
        device,
        download,
        table_on_device,
        workers_of(workers),
        cache,
        unlabelled=unlabelled,
        track=trackers_of(track),
    )
    compare_and_write(asked, places, Console())
