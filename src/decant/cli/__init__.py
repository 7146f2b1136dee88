"""The command line: parse, call, print. Everything it does is a call that Python users can make too."""

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from typer.core import TyperGroup

from decant.cli import detection


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

RecipeArgument = Annotated[
    str, typer.Argument(help="A recipe file, or the name of a shipped recipe such as demo (see `decant list recipes`).")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change a setting: method.beta=4.0; repeatable.", metavar="KEY=VALUE"),
]
OutOption = Annotated[Path | None, typer.Option("--out", help="Folder of the run. [default: below runs]")]
TeachersOption = Annotated[Path, typer.Option("--teachers", help="Where trained teachers are kept and found again.")]
DataOption = Annotated[Path, typer.Option("--data", help="Folder of the data sets on disk.")]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
ThreadsOption = Annotated[int | None, typer.Option("--threads", min=1, help="CPU threads. [default: torch's choice]")]
OnDeviceOption = Annotated[
    bool, typer.Option("--table-on-device", help="Keep the table of train.teacher_cache whole on the device.")
]
DownloadOption = Annotated[bool, typer.Option("--download", help="Fetch a missing data set into --data.")]

TEACHERS, DATA = Path("runs/teachers"), Path("data")
METHODS_TO_COMPARE = "supervised,kd,kd-matched,dkd"


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
    table_on_device: OnDeviceOption = False,
) -> None:
    """Train the student of a recipe, its teacher first. An interrupted run goes on where it stopped."""
    from decant.engine import Places
    from decant.engine import train as train_recipe
    from decant.engine.parallel import is_main_process
    from decant.engine.progress import reporter_for
    from decant.recipe import find_recipe, load_recipe

    path = find_recipe(recipe)
    _use_threads(threads)
    folder = out or _default_folder(path)
    places = Places(teachers=teachers, data=data, device=device, download=download, table_on_device=table_on_device)
    if detection.is_detection(path, changes or ()):
        detection.train(path, changes or (), folder, places, console())
        return
    settings = load_recipe(path, changes or (), overrides_beside=Path())
    summary = train_recipe(settings, folder, places, reporter=reporter_for(console()))
    if not is_main_process():
        return
    last, best = summary["last"], summary["best"]
    console().print(
        f"{summary['network']}: top-1 {last['top1']:.2f}% on {last['split']} after epoch {last['epoch']} "
        f"(best {best['top1']:.2f}% after epoch {best['epoch']}); weights in {folder / 'student.safetensors'}",
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
        Path | None, typer.Option("--results", help="Also copy the evidence here, a new folder; no weights.")
    ] = None,
    teachers: TeachersOption = TEACHERS,
    data: DataOption = DATA,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    download: DownloadOption = False,
    table_on_device: OnDeviceOption = False,
) -> None:
    """Train several methods on equal terms and say in words what the difference shows."""
    from decant.engine import Places
    from decant.engine.compare import compare as compare_methods
    from decant.engine.parallel import is_main_process
    from decant.engine.plan import Plan
    from decant.engine.progress import reporter_for
    from decant.engine.publish import publish, refuse_results
    from decant.evidence import verdict
    from decant.recipe import find_recipe, load_recipe
    from decant.report import comparison_table, write_comparison

    path = find_recipe(recipe)
    settings = load_recipe(path, changes or (), overrides_beside=Path())
    _use_threads(threads)
    folder = out or Path("runs/compare") / _recipe_name(path)
    places = Places(teachers=teachers, data=data, device=device, download=download, table_on_device=table_on_device)
    if results is not None:
        refuse_results(results)
    names = [name.strip() for name in methods.split(",") if name.strip()]
    comparison = compare_methods(settings, names, seeds, folder, places, reporter=reporter_for(console()))
    if not is_main_process():
        return
    command = [
        "decant",
        "compare",
        # As typed, so that it can be typed again; but a page that is kept holds no path of one machine.
        recipe if path == Path(recipe) and not path.is_absolute() else _recipe_name(path),
        "--methods",
        ",".join(names),
        "--seeds",
        str(seeds),
    ]
    command += [part for change in changes or () for part in ("--set", change)]
    command += ["--out", str(out)] if out is not None and not out.is_absolute() else []
    write_comparison(comparison, folder, command=shlex.join(command))
    console().print(comparison_table(comparison))
    for line in verdict(comparison).lines:
        console().print(line, highlight=False, markup=False)
    if results is not None:
        publish(Plan(settings, names, seeds, folder), teachers, results)
    console().print(f"in {folder}: README.md, chart.png, comparison.json, all runs", highlight=False, soft_wrap=True)


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
) -> None:
    """Work out ahead what the teacher of a recipe says to the views that it will meet. Goes on where it stopped."""
    from decant.engine import Places
    from decant.engine.fill_table import fill_table
    from decant.engine.parallel import is_main_process
    from decant.engine.progress import reporter_for
    from decant.recipe import find_recipe, load_recipe

    settings = load_recipe(find_recipe(recipe), changes or (), overrides_beside=Path())
    _use_threads(threads)
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
) -> None:
    """Evaluate the student of a run on the test images."""
    from decant.engine import Places
    from decant.engine.judge import evaluate_run

    _use_threads(threads)
    places = Places(teachers=TEACHERS, data=data, device=device, download=download)
    if (run / "recipe.json").is_file() and detection.is_detection(run / "recipe.json"):
        detection.evaluate(run, weights, places, console())
        return
    judged = evaluate_run(run, places, weights=weights)
    score = judged.score
    table = Table("network", "images", "top-1 %", "top-5 %", "loss (nats)", "samples")
    top5 = "-" if score.top5 is None else f"{score.top5:.2f}"
    name = judged.recipe.student.name
    table.add_row(name, judged.images, f"{score.top1:.2f}", top5, f"{score.loss:.4f}", str(score.samples))
    console().print(table)


@app.command("list")
def list_(
    what: Annotated[str, typer.Argument(help="methods, networks, detectors, data, recipes, or all.")] = "all",
) -> None:
    """What there is: methods, networks, detectors, data sets, recipes."""
    from decant.cli.tables import TABLES

    if what != "all" and what not in TABLES:
        raise ValueError(f"expected {', '.join(TABLES)} or all, got {what!r}")
    for name, table in TABLES.items():
        if what in {"all", name}:
            console().print(table())


@app.command()
def show(recipe: RecipeArgument, changes: SetOption = None) -> None:
    """A recipe (or the recipe of a run folder) with every default filled in, as JSON."""
    from decant.recipe import find_recipe, load_recipe, recipe_to_dict

    path = find_recipe(recipe)
    load = detection.load_detection if detection.is_detection(path, changes or ()) else load_recipe
    settings = load(path, changes or (), overrides_beside=Path())
    console().print_json(json.dumps(recipe_to_dict(settings)))
    for remark in settings.remarks:
        Console(stderr=True).print(f"note: {remark}", highlight=False, markup=False, soft_wrap=True)


app.command()(detection.predict)


def main() -> None:
    """Run the command line; a fault of the user's ends in its message, a fault of ours in its traceback."""
    from decant.engine.fit import NonFiniteLossError

    arguments = [argument for argument in sys.argv[1:] if argument != "--traceback"]  # wherever it was put
    try:
        app(args=arguments)
    except (ValueError, OSError, ImportError, NonFiniteLossError) as error:
        if len(arguments) < len(sys.argv) - 1:
            raise
        Console(stderr=True).print(f"decant: {error}", style="red", highlight=False, markup=False, soft_wrap=True)
        sys.exit(2)


def console() -> Console:
    """Standard output as it is now."""
    return Console()


def _use_threads(threads: int | None) -> None:
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


def _default_folder(path: Path) -> Path:
    """Beside the others; for a recipe out of a run folder that folder itself, where the run goes on."""
    return path.parent if path.name == "recipe.json" else Path("runs") / _recipe_name(path)


def _recipe_name(path: Path) -> str:
    """A shipped recipe's name, or the file's: what a command that is written down calls it."""
    from decant.recipe import shipped_recipes

    names = {file.resolve(): name for name, file in shipped_recipes().items()}
    return names.get(path.resolve(), path.stem)
