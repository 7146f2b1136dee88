"""What a study is: comparisons to make, and a function that reads findings out of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from decant.engine import Places
from decant.engine.progress import Reporter
from decant.evidence import Comparison, Findings, Heatmap, Panel, Table
from decant.interfaces import MethodSettings
from decant.recipe import Recipe, load_recipe
from decant.studies.keep import Kept
from decant.studies.sizes import Size


@dataclass(frozen=True)
class Trial:
    """A comparison that a study makes: a recipe, and the methods that run under it."""

    recipe: Recipe
    names: tuple[str, ...]


@dataclass(frozen=True)
class Made:
    """What the comparisons of a study left.

    Attributes:
        size: at which they were made.
        trials: what they were, by name.
        comparisons: what came out, by the same names.
        runs: folder with a folder per trial.
        kept: numbers that the study measures besides.
        places: teachers, data and device on this machine.
        reporter: where to say what is going on.
    """

    size: Size
    trials: Mapping[str, Trial]
    comparisons: Mapping[str, Comparison]
    runs: Path
    kept: Kept
    places: Places
    reporter: Reporter = field(default_factory=Reporter)

    def run(self, trial: str, method: str, seed: int) -> Path:
        """The folder of one run."""
        return self.runs / trial / method / f"seed-{seed}"

    def recipe(self, trial: str, method: str, seed: int) -> Recipe:
        """The recipe of one run, with what tuning chose."""
        return load_recipe(self.run(trial, method, seed) / "recipe.json")


@dataclass(frozen=True)
class Study:
    """One of the paper's analyses.

    Attributes:
        question: what it asks.
        trials: size -> the comparisons to make, by name. The same name means the same recipe in every study of a size,
            and the same method the same settings, so that studies share their runs.
        findings: what the runs of these comparisons say.
        seeds: name of a size -> seeds of every comparison, where a study wants others than the size's.
        needs: raises before anything is trained where something is lacking on this machine.
    """

    question: str
    trials: Callable[[Size], dict[str, Trial]]
    findings: Callable[[Made], "Reading"]
    seeds: Mapping[str, int] = field(default_factory=dict)
    needs: Callable[[Size, Places], None] = lambda size, places: None


@dataclass(frozen=True)
class Reading:
    """What a study reads out of its runs; see :class:`decant.evidence.Findings`, which it becomes."""

    tables: tuple[Table, ...]
    panels: tuple[Panel | Heatmap, ...]
    shown: tuple[str, ...] = ()
    not_shown: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()

    def as_findings(self, name: str, question: str, comparisons: Mapping[str, Comparison]) -> Findings:
        """The same with the study's name and question, and the comparisons behind it."""
        return Findings(
            study=name,
            question=question,
            comparisons=comparisons,
            tables=self.tables,
            panels=self.panels,
            shown=self.shown,
            not_shown=self.not_shown,
            caveats=self.caveats,
        )


def comparing(
    recipe: Recipe,
    methods: Mapping[str, MethodSettings],
    tune: Mapping[str, Mapping[str, tuple[float, ...]]] | None = None,
) -> Recipe:
    """The recipe with these methods and candidates beside its own; ``tune`` = {} takes all candidates away."""
    compare = recipe.compare
    grid = {} if tune == {} else {**compare.tune, **(tune or {})}
    tuned = {name: dict(candidates) for name, candidates in grid.items()}
    return replace(recipe, compare=replace(compare, methods={**compare.methods, **methods}, tune=tuned))
