"""`decant list` and `decant show`: what there is, and what a recipe says in full."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from decant.cli import detection
from decant.cli.options import (
    DeviceOption,
    RecipeArgument,
    SetOption,
    ThreadsOption,
    TrustOption,
    use_threads,
)


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
    for table in there_is(what, pair, device=device if measure else None, reporter=reporter_for(Console())):
        Console().print(table)


def show(recipe: RecipeArgument, changes: SetOption = None, trust_code: TrustOption = False) -> None:
    """A recipe (or the recipe of a run folder) with every default filled in, as JSON."""
    from decant.recipe import find_recipe, load_recipe, recipe_to_dict

    path = find_recipe(recipe)
    if detection.is_detection(path, changes or ()):
        settings: Any = detection.load_detection(path, changes or (), overrides_beside=Path())
    else:
        settings = load_recipe(path, changes or (), overrides_beside=Path(), trust_code=trust_code)
    Console().print_json(json.dumps(recipe_to_dict(settings)))
    for remark in settings.remarks:
        Console(stderr=True).print(f"note: {remark}", highlight=False, markup=False, soft_wrap=True)
