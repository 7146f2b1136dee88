"""What there is, as tables for the terminal."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from decant.engine.progress import Reporter

if TYPE_CHECKING:
    from decant.engine.method_facts import MethodFacts

PAIR = ("resnet32x4", "resnet8x4")
"""Teacher and student for which the methods are shown unless others are named."""


def methods_table(facts: Sequence["MethodFacts"], pair: tuple[str, str]) -> RenderableType:
    """The methods for a pair of networks, and below them why some do not serve it."""
    measured = any(each.relative_time is not None for each in facts)
    table = Table(title=f"Methods, for {pair[0]} -> {pair[1]}")
    for column in ("method", "year", "source", "features", "views", "parameters", *(["time"] if measured else [])):
        table.add_column(column, overflow="fold")
    for each in facts:
        year, paper = (str(each.source.year), each.source.paper) if each.source is not None else ("-", "-")
        cells = [each.name, year, paper.removeprefix("arXiv:"), "-", "-", "not for this pair"]
        if each.parameters is not None:
            cells[3:] = [_features(each), str(each.views), f"{each.parameters:,}"]
        time = f"{each.relative_time:.2f}" if each.relative_time is not None else "-"
        table.add_row(*cells, *([time] if measured else []))
    notes = ["source: arXiv unless it says otherwise; parameters: trained besides the student's"]
    notes += ["time: of a step, as a multiple of supervised's; medians on this machine"] if measured else []
    reasons: dict[str, list[str]] = {}  # several methods share one
    for each in facts:
        if each.refused is not None:
            reasons.setdefault(each.refused.removeprefix(f"{each.name} "), []).append(each.name)
    notes += [f"{', '.join(names)}: {reason}" for reason, names in reasons.items()]
    return Group(table, *(Text(note) for note in notes))


def _features(facts: "MethodFacts") -> str:
    """What is compared: `stage1-3, pooled`, or the logits alone."""
    if not facts.taps:
        return "logits" if facts.teacher else "-"
    runs: list[tuple[str, str, list[int]]] = []
    for tap in facts.taps:
        found = re.fullmatch(r"(stage)(\d+)(.*)", tap)
        stem, number, rest = found.groups() if found else (tap, "", "")
        if number and runs and runs[-1][:2] == (stem, rest) and runs[-1][2][-1] == int(number) - 1:
            runs[-1][2].append(int(number))
        else:
            runs.append((stem, rest, [int(number)] if number else []))
    return ", ".join(
        stem + (f"{numbers[0]}-{numbers[-1]}" if len(numbers) > 1 else "".join(map(str, numbers))) + rest
        for stem, rest, numbers in runs
    )


def _settings() -> Table:
    import inspect

    from decant.methods import METHODS, MULTILABEL_METHODS
    from decant.recipe import ROLES

    table = Table("method", "settings (defaults)", "what it is", title="Settings of methods")
    for name, settings in (METHODS | MULTILABEL_METHODS).items():
        values = {field: value for field, value in vars(settings()).items() if field != "name"}
        summary = (inspect.getdoc(inspect.getmodule(settings)) or "").partition("\n")[0]
        table.add_row(name, ", ".join(f"{field} {value}" for field, value in values.items()) or "-", summary)
    for roles in ROLES.values():
        matched, decoupled = roles.matched.name, roles.decoupled.name
        derived = f"only in comparisons: {matched} with the settings that {decoupled} has too, weight = {roles.weight}"
        what = "The weight-matched control, without which nothing is said about decoupling."
        table.add_row(roles.control, f"{derived} unless tuned", what)
    return table


def _networks() -> Table:
    from decant.models import IMAGENET, TINY, ZOO

    table = Table("network", "parameters", "made for", title="Networks")
    kinds = (
        (ZOO, "32x32 images, 100 classes", 100),
        (IMAGENET, "224x224 images, 1000 classes", 1000),
        (TINY, "8x8 digits, 10 classes", 10),
    )
    for zoo, made_for, classes in kinds:
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
    table.add_row("pictures", "-", "-", "-", "your own: class folders, a table of path,label, tar files, or hf:NAME")
    return table


def _recipes() -> Table:
    from decant.recipe import shipped_recipes

    table = Table("recipe", "what it is", title="Recipes")
    for name, path in shipped_recipes().items():
        first = path.read_text(encoding="utf-8").partition("\n")[0]
        table.add_row(name, first.removeprefix("#").strip())
    return table


def _studies() -> Table:
    from decant.studies import STUDIES

    table = Table("study", "what it asks", title="Studies")
    for name, study in STUDIES.items():
        table.add_row(name, study.question)
    return table


TABLES: dict[str, Callable[[], Table]] = {
    "settings": _settings,
    "networks": _networks,
    "detectors": _detectors,
    "data": _data,
    "recipes": _recipes,
    "studies": _studies,
}
"""By the name that `decant list` knows them by; the methods, which depend on the networks, are apart."""


def there_is(what: str, pair: str | None, *, device: str | None, reporter: Reporter) -> Iterator[RenderableType]:
    """What `decant list` shows.

    Args:
        what: "methods", a name in ``TABLES``, or "all".
        pair: TEACHER:STUDENT for which methods are shown; None for ``PAIR``.
        device: where a step of every method is timed; None for not at all.
        reporter: told how far that is.

    Raises:
        ValueError: any of them is not what it should be.
    """
    if what not in (known := ["methods", *TABLES, "all"]):
        raise ValueError(f"expected {', '.join(known[:-1])} or all, got {what!r}")
    if what not in {"methods", "all"} and (pair is not None or device is not None):
        raise ValueError(f"--pair and --measure are for `decant list methods`, got {what!r}")
    if what in {"methods", "all"}:
        from decant.engine.method_facts import Pair
        from decant.engine.parallel import Parallel

        teacher, separator, student = (pair if pair is not None else ":".join(PAIR)).partition(":")
        if not separator:
            raise ValueError(f"--pair is TEACHER:STUDENT, such as {':'.join(PAIR)}, got {pair!r}")
        networks = Pair(teacher, student)
        facts = networks.facts() if device is None else networks.measured_facts(Parallel(device=device), reporter)
        yield methods_table(facts, (teacher, student))
    for name, table in TABLES.items():
        if what in {"all", name}:
            yield table()
