"""What there is, as tables for the terminal."""

from collections.abc import Callable

from rich.table import Table


def _methods() -> Table:
    import inspect

    from decant.methods import METHODS
    from decant.recipe import KD_MATCHED

    table = Table("method", "settings (defaults)", "what it is", title="Methods")
    for name, settings in METHODS.items():
        values = {field: value for field, value in vars(settings()).items() if field != "name"}
        summary = (inspect.getdoc(inspect.getmodule(settings)) or "").partition("\n")[0]
        table.add_row(name, ", ".join(f"{field} {value}" for field, value in values.items()) or "-", summary)
    derived = "only in comparisons: kd with the settings that dkd has too, weight = beta unless tuned"
    table.add_row(KD_MATCHED, derived, "The weight-matched control, without which nothing is said about decoupling.")
    return table


def _networks() -> Table:
    from decant.models import TINY, ZOO

    table = Table("network", "parameters", "made for", title="Networks")
    for zoo, made_for, classes in ((ZOO, "32x32 images, 100 classes", 100), (TINY, "8x8 digits, 10 classes", 10)):
        for name, build in zoo.items():
            count = sum(parameter.numel() for parameter in build(num_classes=classes).parameters())
            table.add_row(name, f"{count:,}", made_for)
    return table


def _detectors() -> Table:
    import torch

    from decant.detection import DETECTION_METHODS, DETECTORS, create_detector

    title = f"Detectors (task = detection), which learn by {', '.join(DETECTION_METHODS)}"
    table = Table("detector", "parameters, 80 classes", title=title)
    for name in DETECTORS:
        with torch.device("meta"):
            count = sum(parameter.numel() for parameter in create_detector(name, num_classes=81).parameters())
        table.add_row(name, f"{count:,}")
    return table


def _data() -> Table:
    from decant.data import DATASETS

    table = Table("data", "classes", "training", "test", "what it is", title="Data sets")
    for name, facts in DATASETS.items():
        table.add_row(name, str(facts.classes), f"{facts.train:,}", f"{facts.test:,}", facts.description)
    return table


def _recipes() -> Table:
    from decant.recipe import shipped_recipes

    table = Table("recipe", "what it is", title="Recipes")
    for name, path in shipped_recipes().items():
        first = path.read_text(encoding="utf-8").partition("\n")[0]
        table.add_row(name, first.removeprefix("#").strip())
    return table


TABLES: dict[str, Callable[[], Table]] = {
    "methods": _methods,
    "networks": _networks,
    "detectors": _detectors,
    "data": _data,
    "recipes": _recipes,
}
"""By the name that `decant list` knows them by."""
