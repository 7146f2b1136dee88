"""What a search of settings found, as tables, panels and sentences."""

import math
from collections.abc import Iterator

from decant.engine.search import Space
from decant.engine.tune import Search, Tuned
from decant.evidence import Cell, Findings, Panel, Series, Table


def tuning_findings(tuned: Tuned) -> Findings:
    """Every trial, what mattered, and the best, with a slice through the trials for each setting."""
    names = " and ".join(search.name for search in tuned.searches)
    epochs = f"{tuned.epochs} epoch{'s' * (tuned.epochs != 1)}"
    seeds, metric = len(tuned.seeds), tuned.recipe.metric_name
    return Findings(
        study="tuning",
        question=f"Which settings of {names} do best on validation images, after {epochs}?",
        comparisons={},
        tables=tuple(table for search in tuned.searches for table in _tables(search, metric)),
        panels=tuple(panel for search in tuned.searches for panel in _slices(search, metric)),
        shown=tuple(_best(search) for search in tuned.searches),
        not_shown=(
            "That these settings are better than others by more than chance: the best of many trials looks better "
            "than it is.",
            "That they are the best for more epochs than the trials had.",
            "How well they do on test images, which no trial has seen: train, or compare, the recipe that came of it.",
        ),
        caveats=(
            f"Each number is of {seeds} runs (seeds {tuned.seeds[0]} to {tuned.seeds[-1]})."
            if seeds > 1
            else f"Each number is of 1 run (seed {tuned.seeds[0]}).",
            "A share of the variation is that of a forest of trees fitted to the trials (fANOVA, Hutter, Hoos and "
            "Leyton-Brown 2014): with few trials it is rough, and it says nothing about values that were not searched.",
        ),
    )


def _tables(search: Search, metric: str) -> Iterator[Table]:
    settings = tuple(search.space)
    ranks = sorted(range(len(search.trials)), key=lambda number: -search.trials[number][1])
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (number + 1, *(_value(search.trials[number][0][name]) for name in settings), search.trials[number][1])
        for number in ranks
    )
    first = "the recipe's own settings are trial 1" if len(search.trials) > 1 else ""
    yield Table(
        ("trial", *settings, f"{metric} on validation, %"), rows, f"{search.name}: all trials, the best first", first
    )
    if search.importance:
        ranges: Space = search.space
        yield Table(
            ("setting", "searched", "share of the variation"),
            tuple(
                (name, f"{ranges[name].low:g} to {ranges[name].high:g}", share)
                for name, share in search.importance.items()
            ),
            f"{search.name}: what mattered",
        )


def _slices(search: Search, metric: str) -> Iterator[Panel]:
    scores = tuple(score for _, score in search.trials)
    for name in search.space:
        values = tuple(trial[name] for trial, _ in search.trials)
        share = f", {100 * search.importance[name]:.0f}% of the variation" if name in search.importance else ""
        yield Panel(
            f"{search.name}: {name}{share}",
            name,
            f"{metric} on validation, %",
            (Series("", values, scores, joined=False),),
            ticks=_ticks(min(values), max(values)),
            logarithmic=True,
        )


def _ticks(low: float, high: float) -> dict[float, str]:
    """Powers of two from below ``low`` to above ``high``: a scale on which halves and doubles are told apart.

    >>> _ticks(0.3, 3.0)
    {0.25: '0.25', 0.5: '0.5', 1.0: '1', 2.0: '2', 4.0: '4'}
    """
    powers = range(math.floor(math.log2(low)), math.ceil(math.log2(high)) + 1)
    return {2.0**power: f"{2.0**power:g}" for power in powers}


def _best(search: Search) -> str:
    values = ", ".join(f"{name} {value:g}" for name, value in search.best.items())
    scores = [score for _, score in search.trials]
    best = max(scores)
    shared = f", shared by {scores.count(best)} of {len(scores)}" if scores.count(best) > 1 else ""
    return f"{search.name}: the best of {len(scores)} trials has {values} and {best:.2f}% on validation images{shared}."


def _value(value: float) -> str:
    """As text, because a table rounds numbers, and these are settings."""
    return f"{value:g}"
