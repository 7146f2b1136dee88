"""The command line: parse, call, print. Everything it does is a call that Python users can make too."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from decant.cli import detection
from decant.cli.comparing import Asked, compare_and_write, names_of
from decant.cli.distill import distill
from decant.cli.doctor import doctor
from decant.cli.export import export
from decant.cli.options import (
    DATA,
    KEEP,
    METHODS_TO_COMPARE,
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
    refuse_unused,
    trackers_of,
    use_threads,
    workers_of,
)
from decant.cli.predict import predict
from decant.cli.publish import card, push
from decant.cli.report import report
from decant.cli.reproduce import reproduce
from decant.cli.scores import score_table
from decant.cli.study import study
from decant.cli.tune import tune


class _Commands(TyperGroup):
    """All commands: an interrupt ends in words, before typer makes it a silent exit."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            Console(stderr=True).print("decant: interrupted; the same command goes on from here", style="red")
            raise typer.Exit(130) from None


app = typer.Typer(
    name="decant",
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        console().print(f"decant {version('decant-kd')}", highlight=False)
        raise typer.Exit


@app.callback()
def options(
    traceback: Annotated[bool, typer.Option("--traceback", help="Show where in the code a fault arose.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.", callback=_version)] = False,
) -> None:
    """Knowledge distillation for PyTorch, built around Decoupled Knowledge Distillation (DKD)."""


@app.command()
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
    folder = out or _default_folder(path)
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
        detection.train(path, changes or (), folder, places, console())
        return
    settings = load_recipe(path, changes or (), overrides_beside=Path(), trust_code=trust_code)
    refuse_unused(unlabelled, settings.data.unlabelled)
    summary = train_recipe(settings, folder, places, reporter=reporter_for(console()))
    if not is_main_process():
        return
    last, best, metric, name = summary["last"], summary["best"], settings.metric, settings.metric_name
    console().print(
        f"{summary['network']}: {name} {last[metric]:.2f}% on {last['split']} after epoch {last['epoch']} "
        f"(best {best[metric]:.2f}% after epoch {best['epoch']}); weights in {folder / 'student.safetensors'}",
        highlight=False,
        soft_wrap=True,
    )


@app.command()
def compare(
    recipe: RecipeArgument,
    methods: Annotated[str, typer.Option("--methods", help="Comma-separated names.")] = METHODS_TO_COMPARE,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="How many seeds; a verdict needs 3.")] = 5,
    changes: SetOption = None,
    out: OutOption = None,
    results: Annotated[
        Path | None, typer.Option("--results", help="Also copy the evidence here, without weights.")
    ] = None,
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
        settings = detection.load_detection(path, changes or (), overrides_beside=Path())
    else:
        settings = load_recipe(path, changes or (), overrides_beside=Path(), trust_code=trust_code)
        refuse_unused(unlabelled, settings.data.unlabelled)
    use_threads(threads)
    # As typed, so that it can be typed again; but a page that is kept holds no path of one machine.
    named = recipe if path == Path(recipe) and not path.is_absolute() else _recipe_name(path)
    command = ["decant", "compare", named, "--methods", ",".join(names_of(methods)), "--seeds", str(seeds)]
    command += [part for change in changes or () for part in ("--set", change)]
    command += ["--trust-code"] if trust_code else []
    command += ["--out", str(out)] if out is not None and not out.is_absolute() else []
    asked = Asked(
        settings, names_of(methods), seeds, out or Path("runs/compare") / _recipe_name(path), command, results
    )
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
    compare_and_write(asked, places, console())


@app.command()
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
    filled = fill_table(settings, places, epochs=epochs, all_views=all_views, reporter=reporter_for(console()))
    if not is_main_process():
        return
    unused = settings.train.teacher_cache == "none"
    hint = "; runs use it with --set train.teacher_cache=views" if unused else ""
    console().print(
        f"{filled.worked_out:,} rows worked out, {filled.share:.1%} of the table filled: {filled.folder}{hint}",
        highlight=False,
        soft_wrap=True,
    )


@app.command()
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
        detection.evaluate(run, weights, places, console())
        return
    judged = evaluate_run(run, places, weights=weights, trust_code=trust_code)
    console().print(score_table(judged))


@app.command("list")
def list_(
    what: Annotated[
        str, typer.Argument(help="methods, settings, networks, detectors, data, recipes, studies, or all.")
    ] = "all",
    pair: Annotated[
        str | None, typer.Option("--pair", help="Networks for which methods are shown.", metavar="TEACHER:STUDENT")
    ] = None,
    measure: Annotated[bool, typer.Option("--measure", help="Also time a step of every method, for minutes.")] = False,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """What there is: methods, their settings, networks, detectors, data sets, recipes, studies."""
    from decant.cli.tables import there_is
    from decant.engine.progress import reporter_for

    use_threads(threads)
    for table in there_is(what, pair, device=device if measure else None, reporter=reporter_for(console())):
        console().print(table)


@app.command()
def show(recipe: RecipeArgument, changes: SetOption = None, trust_code: TrustOption = False) -> None:
    """A recipe (or the recipe of a run folder) with every default filled in, as JSON."""
    from decant.recipe import find_recipe, load_recipe, recipe_to_dict

    path = find_recipe(recipe)
    if detection.is_detection(path, changes or ()):
        settings: Any = detection.load_detection(path, changes or (), overrides_beside=Path())
    else:
        settings = load_recipe(path, changes or (), overrides_beside=Path(), trust_code=trust_code)
    console().print_json(json.dumps(recipe_to_dict(settings)))
    for remark in settings.remarks:
        Console(stderr=True).print(f"note: {remark}", highlight=False, markup=False, soft_wrap=True)


for _command in (distill, predict, export, card, push, tune, reproduce, study, report, doctor):
    app.command()(_command)


def main() -> None:
    """Run the command line; a fault of the user's ends in its message, a fault of ours in its traceback."""
    from decant.engine.lost_process import LostProcessError
    from decant.engine.meter import NonFiniteLossError
    from decant.engine.termination import EXIT_CODE, TerminatedError

    arguments = [argument for argument in sys.argv[1:] if argument != "--traceback"]  # wherever it was put
    try:
        app(args=arguments)
    except (
        ValueError,
        OSError,
        ImportError,
        MemoryError,
        NonFiniteLossError,
        TerminatedError,
        LostProcessError,
    ) as error:
        if len(arguments) < len(sys.argv) - 1:
            raise
        Console(stderr=True).print(f"decant: {error}", style="red", highlight=False, markup=False, soft_wrap=True)
        sys.exit(EXIT_CODE if isinstance(error, TerminatedError) else 2)


def console() -> Console:
    """Standard output as it is now."""
    return Console()


def _default_folder(path: Path) -> Path:
    """Beside the others; for a recipe out of a run folder that folder itself, where the run goes on."""
    return path.parent if path.name == "recipe.json" else Path("runs") / _recipe_name(path)


def _recipe_name(path: Path) -> str:
    """A shipped recipe's name, or the file's: what a command that is written down calls it."""
    from decant.recipe import shipped_recipes

    names = {file.resolve(): name for name, file in shipped_recipes().items()}
    return names.get(path.resolve(), path.stem)
