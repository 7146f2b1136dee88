"""What does a method cost, in time, parameters and memory, for the accuracy that it brings?

Every method that serves the pair, as published; beside its accuracy the time of a training step on this machine, the
numbers that it trains besides the student's, and what a step keeps for its backward pass.
"""

from dataclasses import asdict, replace
from typing import Any

from decant.engine.method_facts import Pair
from decant.engine.parallel import Parallel
from decant.engine.suite import suite
from decant.evidence import Comparison, Panel, Series, Table
from decant.methods import METHODS
from decant.recipe import Recipe, find_recipe, load_recipe
from decant.studies.claims import caveats_of, difference, told
from decant.studies.side_by_side import TOP1
from decant.studies.sizes import Size, teacher_of
from decant.studies.study import Made, Reading, Study, Trial, comparing


def _recipe(size: Size) -> Recipe:
    """The recipe that gives every method its published settings, as far as there are any for this size."""
    if size.name == "paper":
        return suite("cifar100")[size.pair]
    return load_recipe(find_recipe("quick/every-method")) if size.name == "quick" else comparing(size.recipe, {}, {})


def _pair(recipe: Recipe) -> Pair:
    return Pair(teacher_of(recipe).student.name, recipe.student.name, METHODS)


def trials(size: Size) -> dict[str, Trial]:
    """One comparison of every method that serves the pair."""
    recipe = _recipe(size)
    # Methods on features and of strong views have no use for a table of logits, and all are to cost what they cost.
    recipe = replace(recipe, train=replace(recipe.train, teacher_cache="none"))
    return {f"{size.pair}-every-method": Trial(recipe, tuple(_pair(recipe).built))}


def findings(made: Made) -> Reading:
    """Accuracy beside cost, as a table and as the paper's scatter."""
    ((trial, comparison),) = made.comparisons.items()
    names = made.trials[trial].names
    facts = _facts(made, made.trials[trial].recipe)
    rows = [
        (
            name,
            comparison.result(name).last_score,
            comparison.difference(name, "supervised"),
            facts[name]["relative_time"],
            facts[name]["parameters"],
            facts[name]["kept_bytes"] / facts["supervised"]["kept_bytes"],
            facts[name]["views"],
            len(comparison.seeds),
        )
        for name in names
    ]
    headings = ("method", "last epoch, %", "against supervised [95%]", "time of a step", "extra parameters", "memory")
    shown, not_shown = told(difference(comparison, name, "supervised") for name in names if name != "supervised")
    return Reading(
        tables=(
            Table(
                (*headings, "views", "seeds"),
                tuple(rows),
                note="Time and memory are those of a training step, in units of a step without a teacher; memory is "
                "what the step keeps for its backward pass. Methods of two views see every image twice in a step.",
            ),
        ),
        panels=(
            _panel(comparison, facts, "accuracy by time", "time of a step / of supervised", "relative_time"),
            _panel(comparison, facts, "accuracy by parameters", "numbers trained besides the student's", "parameters"),
        ),
        shown=shown,
        not_shown=not_shown,
        caveats=(
            f"Times were measured on this machine ({facts['supervised']['device']}) with batches of 64 made-up images "
            "of the data's size, the teacher's table off; another machine has other ratios.",
            "Methods have the settings of their publication, chosen for other networks and longer trainings: this "
            "shows what each does out of the box, not which is best.",
            *caveats_of(made.comparisons),
        ),
    )


def _facts(made: Made, recipe: Recipe) -> dict[str, dict[str, Any]]:
    """Method -> its costs, measured once."""

    def work() -> dict[str, dict[str, Any]]:
        parallel = Parallel(device=made.places.device)
        measured = _pair(recipe).measured_facts(parallel, made.reporter)
        kept = ("relative_time", "parameters", "kept_bytes", "views")
        return {
            facts.name: {name: asdict(facts)[name] for name in kept} | {"device": str(parallel.device)}
            for facts in measured
            if facts.refused is None
        }

    methods = ", ".join(METHODS)
    found: dict[str, dict[str, Any]] = made.kept.measure(f"costs of {methods} on {made.size.pair}", work)
    return found


def _panel(comparison: Comparison, facts: dict[str, dict[str, Any]], title: str, label: str, key: str) -> Panel:
    names = tuple(result.name for result in comparison.results)
    points = Series(
        "",
        tuple(float(facts[name][key]) for name in names),
        tuple(comparison.result(name).last_score.mean for name in names),
        labels=names,
        joined=False,
    )
    return Panel(title, label, TOP1, (points,))


STUDY = Study(
    question="What does a method cost, in time, parameters and memory, for the accuracy that it brings?",
    trials=trials,
    findings=findings,
)
