"""Methods for detectors side by side: the same student, pictures, steps and seeds, and one teacher."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from decant.detection.comparison import ALONE, methods_named
from decant.detection.data_settings import PictureSplits, load_pictures
from decant.detection.evaluation import require_evaluator
from decant.detection.recipe import DetectionRecipe
from decant.detection.region_methods import RegionDKDSettings, RegionKDSettings
from decant.detection.run import find_detection_teacher, prepared_training, train_detector
from decant.detection.teacher import DetectionTeacher
from decant.engine.compare import COMPARED_FILE, refuse_another
from decant.engine.estimate import duration
from decant.engine.parallel import Parallel
from decant.engine.places import Places
from decant.engine.plan import require_different
from decant.engine.progress import Reporter
from decant.engine.record import RunFolder, finished, keep_recipe
from decant.engine.training import own_random_state
from decant.evidence import Comparison, Run, compare_runs, read_run
from decant.recipe import KD_MATCHED, recipe_to_dict


@dataclass(frozen=True)
class PlannedDetector:
    """A run to do: its recipe, and its folder."""

    recipe: DetectionRecipe
    folder: Path


class DetectionPlan:
    """The runs of a comparison of detectors, below one folder.

    Args:
        recipe: what all runs share.
        names: "supervised" (the student alone), methods by name, sums of them such as "dkd+reviewkd", "kd-matched", and
            what ``recipe.compare.methods`` names.
        seeds: how many, counted from the recipe's.
        out: the comparison's folder.

    Raises:
        ValueError: no or repeated names, an unknown one, no seeds, methods without a teacher, or a control that is not
            matched.
    """

    def __init__(self, recipe: DetectionRecipe, names: Sequence[str], seeds: int, out: Path) -> None:
        require_different(names, seeds)
        self.recipe, self.names, self.out = recipe, tuple(names), out
        self.seeds = range(recipe.seed, recipe.seed + seeds)
        self.methods = {name: methods_named(name, recipe.method, recipe.compare) for name in names}
        taught = [name for name, methods in self.methods.items() if methods]
        if taught and recipe.teacher is None:
            raise ValueError(f"{', '.join(taught)}: these methods learn from a teacher, but the recipe has none")
        self._check_roles()

    @property
    def teachers(self) -> tuple[DetectionRecipe, ...]:
        """The recipe of the teacher, where it comes from one."""
        teacher = self.recipe.teacher
        return (teacher.recipe,) if teacher is not None and teacher.recipe is not None else ()

    def shown(self, name: str, seed: int) -> PlannedDetector:
        """The run of a method and seed."""
        # Without what is compared: another list of methods leaves the runs that are done what they are.
        teacher = self.recipe.teacher if self.methods[name] else None
        planned = replace(self.recipe.trained, method=self.methods[name], teacher=teacher, seed=seed)
        return PlannedDetector(planned, self.out / name / f"seed-{seed}")

    def runs(self, name: str) -> Iterator[PlannedDetector]:
        """All runs of a method."""
        return (self.shown(name, seed) for seed in self.seeds)

    def _check_roles(self) -> None:
        if self.methods.get(ALONE):
            raise ValueError(f"compare.methods.{ALONE} is the baseline without a teacher, got {self.methods[ALONE]}")
        if KD_MATCHED not in self.methods:
            return
        methods = self.methods[KD_MATCHED]
        if len(methods) != 1 or not isinstance(control := methods[0], RegionKDSettings):
            raise ValueError(
                f"compare.methods.{KD_MATCHED} must be kd, the weight-matched control, got {list(methods)}"
            )
        (dkd,) = self.methods["dkd"] if len(self.methods.get("dkd", ())) == 1 else (None,)
        if not isinstance(dkd, RegionDKDSettings):
            return
        for shared in ("temperature", "warmup", "foreground", "background"):
            here, there = getattr(control, shared), getattr(dkd, shared)
            if here != there:
                raise ValueError(f"{KD_MATCHED} must share dkd's {shared} to be a control; got {here} and {there}")


def compare_detectors(
    recipe: DetectionRecipe,
    names: Sequence[str],
    seeds: int,
    out: Path,
    places: Places,
    *,
    reporter: Reporter | None = None,
    splits: PictureSplits | None = None,
    teacher: DetectionTeacher | None = None,
) -> Comparison:
    """Train every method with the same seeds and the same budget, and put their average precision side by side.

    What is finished in ``out`` is not run again, so that an interrupted comparison goes on, and more seeds or methods
    add to what is there.

    Args:
        recipe: pictures, student, teacher and training that all share; its own methods have their settings from it.
        names: see :class:`DetectionPlan`.
        seeds: how many, counted from the recipe's.
        out: a folder for all runs.
        places: teachers, data and device on this machine.
        reporter: where to say what is going on.
        splits: the recipe's pictures, where the caller has loaded them already.
        teacher: the recipe's teacher, likewise.

    Raises:
        FileExistsError: ``out`` holds something else.
        ValueError: methods that cannot be compared fairly, see :class:`DetectionPlan`.
    """
    require_evaluator()
    plan = DetectionPlan(recipe, names, seeds, out)
    parallel = Parallel(device=places.device, precision=recipe.train.precision)
    reporter = reporter if reporter is not None and parallel.main else Reporter()
    refuse_another(recipe, out)
    planned = [run for name in plan.names for run in plan.runs(name)]
    for run in planned:  # before anything is written
        RunFolder(run.folder, run.recipe, parallel)
    splits = load_pictures(recipe.data, places.data) if splits is None else splits
    teacher = find_detection_teacher(recipe, splits, places, reporter=reporter) if teacher is None else teacher
    _announce(plan, splits, teacher, places, reporter)
    if parallel.main:
        out.mkdir(parents=True, exist_ok=True)
        keep_recipe(out / COMPARED_FILE, recipe)
    runs: dict[str, list[Run]] = {name: [] for name in plan.names}
    for seed in plan.seeds:  # seed by seed: what is done when interrupted is paired
        for name in plan.names:
            run = plan.shown(name, seed)
            taught = teacher if run.recipe.teacher is not None else None
            train_detector(
                run.recipe, run.folder, places, reporter=reporter, splits=splits, teacher=taught, announce=False
            )
            runs[name].append(replace(read_run(run.folder), recipe=recipe_to_dict(run.recipe)))
    return compare_runs(runs, control=KD_MATCHED, baseline=ALONE, notes=recipe.compare.notes)


def _announce(
    plan: DetectionPlan, splits: PictureSplits, teacher: DetectionTeacher | None, places: Places, reporter: Reporter
) -> None:
    """Say what is peculiar about the pictures, how many runs there are, and how long those that are left will take."""
    for remark in (*plan.recipe.remarks, *splits.remarks):
        reporter.say(f"note: {remark}")
    seconds, count = 0.0, 0
    for name in plan.names:
        left = [run for run in plan.runs(name) if not finished(run.folder)]
        count += len(left)
        if left:
            taught = teacher if left[0].recipe.teacher is not None else None
            parallel = Parallel(device=places.device, precision=plan.recipe.train.precision)
            with own_random_state(parallel.device):
                training, _ = prepared_training(left[0].recipe, splits, taught, places, parallel)
                seconds += training.estimate(plan.out).seconds * len(left)
    if count:
        total = len(plan.names) * len(plan.seeds)
        reporter.say(f"{plan.out}: {count} of {total} runs to do, about {duration(seconds)}")
