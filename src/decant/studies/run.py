"""A study from start to end: its comparisons, one after another, and what they show."""

from pathlib import Path

from decant.engine import Places
from decant.engine.compare import compare
from decant.engine.plan import Plan
from decant.engine.progress import Reporter
from decant.evidence import Findings
from decant.studies.keep import Kept
from decant.studies.sizes import Size
from decant.studies.study import Made, Study


def plans_of(study: Study, size: Size, out: Path, seeds: int | None = None) -> dict[str, Plan]:
    """The comparisons of a study by name; their runs lie in ``out/runs``, where other studies find them again.

    Raises:
        ValueError: fewer than 1 seed.
    """
    seeds = study.seeds.get(size.name, size.seeds) if seeds is None else seeds
    trials = study.trials(size)
    return {name: Plan(trial.recipe, trial.names, seeds, out / "runs" / name) for name, trial in trials.items()}


def run_study(
    name: str,
    study: Study,
    size: Size,
    out: Path,
    places: Places,
    *,
    seeds: int | None = None,
    reporter: Reporter | None = None,
) -> Findings:
    """Make the comparisons of a study and read what they show. What is finished in ``out`` is not run again.

    Args:
        name: the study's name.
        study: what to do.
        size: how large.
        out: folder of all studies of this size: runs in ``out/runs``, which they share, pages in ``out/NAME``.
        places: teachers, data and device on this machine.
        seeds: of every comparison; None for the study's.
        reporter: where to say what is going on.

    Raises:
        FileExistsError: ``out`` holds something else.
        FileNotFoundError: data that the study needs is not there.
        ValueError: comparisons that cannot be made, see :class:`decant.engine.plan.Plan`.
    """
    reporter = reporter or Reporter()
    study.needs(size, places)
    plans = plans_of(study, size, out, seeds)  # all of them now: a fault of the last must not wait for the first
    total = sum(len(list(plan.runs(method))) for plan in plans.values() for method in plan.names)
    reporter.say(f"study {name}, size {size.name}: {len(plans)} comparisons of {total} runs in all, below {out}")
    comparisons = {}
    for place, (trial, plan) in enumerate(plans.items(), start=1):
        reporter.say(f"{place} of {len(plans)}: {trial} ({', '.join(plan.names)})")
        comparisons[trial] = compare(plan.recipe, plan.names, len(plan.seeds), plan.out, places, reporter=reporter)
    made = Made(
        size=size,
        trials=study.trials(size),
        comparisons=comparisons,
        runs=out / "runs",
        kept=Kept(out / name / "measured.json"),
        places=places,
        reporter=reporter,
    )
    return study.findings(made).as_findings(name, study.question, comparisons)
