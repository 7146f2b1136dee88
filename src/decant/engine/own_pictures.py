"""From a folder of pictures to a distilled student and an honest comparison: the steps of `decant distill`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from shutil import copyfile
from typing import Any, Literal, TypeVar

import torch

from decant.data import DataSettings, PictureSettings, PictureSplits
from decant.engine.checkpoint import CARD_FILE, STUDENT_FILE, read_about, write_atomically
from decant.engine.compare import compare, refuse_another
from decant.engine.judge import right_answers
from decant.engine.own_networks import within
from decant.engine.parallel import Parallel
from decant.engine.places import Places
from decant.engine.plan import Plan
from decant.engine.progress import Reporter
from decant.engine.publish import refuse_results
from decant.engine.run import find_teacher, load_data
from decant.engine.teacher import trained_student
from decant.engine.training import refuse_early
from decant.engine.useless_teacher import refuse_beaten, refuse_chance
from decant.evidence import Comparison, Interval, paired_bootstrap
from decant.evidence.metric import METRICS
from decant.models import classes_of, preprocessing_of
from decant.recipe import (
    ROLES,
    Cosine,
    NetworkSettings,
    Recipe,
    TeacherSettings,
    TrainSettings,
    code_files,
    method_settings,
    network_named,
    with_changes,
)

Settings = TypeVar("Settings", NetworkSettings, TeacherSettings)


@dataclass(frozen=True)
class Wanted:
    """What is asked of `decant distill`.

    Attributes:
        teacher: the teacher's network, by name; or ``my_file.py:make``.
        student: the student's.
        task: "classification", or "multilabel" for any number of classes to a picture.
        pretrained: whether the teacher starts from its library's weights, which may be downloaded.
        teacher_weights: a file that it starts from instead.
        student_pretrained: whether the student starts from its library's weights.
        method: how the student learns; none for the task's own with two weights, dkd or bernoulli_dkd.
        seeds: students of the method; a verdict needs 3.
        control: whether as many students learn without the teacher.
        size: height and width of what both networks see; none for what the teacher's weights were trained on, or 224.
        epochs: of the student.
        teacher_epochs: of the teacher, if it is trained or fine-tuned; none for as many.
        anyway: whether to go on with a teacher that is of no use.
        unlabelled: whether the student also learns from pictures without a label.
        changes: ``key=value`` for the recipe, such as ``train.batch_size=32`` or ``teacher.recipe.train.epochs=5``.
        trust_code: whether the Python files that networks come from may be run.
    """

    teacher: str
    student: str
    task: Literal["classification", "multilabel"] = "classification"
    pretrained: bool = False
    teacher_weights: Path | None = None
    student_pretrained: bool = False
    method: str | None = None
    seeds: int = 3
    control: bool = True
    size: int | None = None
    epochs: int = 60
    teacher_epochs: int | None = None
    anyway: bool = False
    unlabelled: bool = False
    changes: Sequence[str] = ()
    trust_code: bool = False

    @property
    def taught(self) -> str:
        """Name of the method by which the student learns."""
        return self.method or METRICS[self.task].decoupled

    @property
    def alone(self) -> str:
        """Name of the method without a teacher."""
        return METRICS[self.task].baseline


@dataclass(frozen=True)
class OwnPictures:
    """What came of it.

    Attributes:
        comparison: the method beside the same budget without a teacher, where that was asked for.
        student: the file of the first seed's student.
        runs: folder of all runs.
        plan: of the comparison, by which its evidence is copied.
        difference: with one seed, an interval over the pictures for these two networks alone; else None.
    """

    comparison: Comparison
    student: Path
    runs: Path
    plan: Plan
    difference: Interval | None


def distill_pictures(
    wanted: Wanted, out: Path, places: Places, *, results: Path | None = None, reporter: Reporter | None = None
) -> OwnPictures:
    """Check the pictures, have a teacher, train students with and without it, and compare them.

    Every step is a run that is kept: a call that was interrupted goes on, and what is finished is not done again.

    Args:
        wanted: networks, method and budget.
        out: a folder for the result and all runs; not inside the pictures.
        places: ``data`` is the folder or table of pictures.
        results: where the evidence will be copied to; it is refused before anything is trained.
        reporter: where to say what is going on.

    Raises:
        FileExistsError: ``out`` or ``results`` holds something else.
        UselessTeacherError: a teacher that is no better than chance, or than the student alone.
        ValueError: pictures, networks or settings that cannot be used.
    """
    reporter = reporter or Reporter()
    alone_recipe = _student_recipe(wanted)
    code = code_files(alone_recipe.student)
    _refuse_folder(out, places.data, code)
    runs = out / "runs"
    reporter.say("1 of 4: the pictures")
    splits = load_data(alone_recipe, places, reporter)
    if not isinstance(splits, PictureSplits):
        raise ValueError(f"expected pictures, got {splits.train.name}; leave data.name in the recipe")
    reporter.say(f"2 of 4: the teacher, {wanted.teacher}")
    recipe = own_pictures_recipe(wanted, splits.train.classes)
    names = [wanted.alone, wanted.taught] if wanted.control else [wanted.taught]
    plan = Plan(recipe, names, wanted.seeds, runs)
    refuse_another(recipe, runs)
    if results is not None:
        refuse_results(plan, results)
    refuse_early(recipe, splits, places, Parallel(device=places.device))
    teacher = find_teacher(recipe, splits, places, reporter=reporter)
    if teacher is None:
        raise ValueError("the recipe of distillation lost its teacher; leave `teacher` in it")
    reporter.say(f"  {recipe.metric_name} {teacher.score:.2f}% on {splits.test.size:,} test pictures")
    if not wanted.anyway:
        refuse_chance(teacher, splits.test.target, recipe.metric_name)
    compared = partial(compare, recipe, out=runs, places=places, reporter=reporter, splits=splits, teacher=teacher)
    if wanted.control:
        reporter.say(f"3 of 4: the student, {wanted.student}, without the teacher")
        alone = compared([wanted.alone], 1).result(wanted.alone).last_score.mean
        if not wanted.anyway:
            refuse_beaten(teacher, alone, recipe.metric_name)
    reporter.say(f"4 of 4: the student by {wanted.taught}" + (", and more without" if wanted.seeds > 1 else ""))
    comparison = compared(names, wanted.seeds)
    folders = [plan.shown(name, recipe.seed).folder for name in names]
    difference = None
    if wanted.control and wanted.seeds == 1:
        difference = _difference(recipe, plan, splits, places)
        comparison = replace(comparison, notes=(*comparison.notes, _told(difference, plan.names, wanted.task)))
    student = out / STUDENT_FILE
    for name, content in code.items():  # the student is of no use without it
        write_atomically(out / name, partial(Path.write_bytes, data=content))
    write_atomically(student, partial(copyfile, folders[-1] / STUDENT_FILE))
    return OwnPictures(comparison, student, runs, plan, difference)


def own_pictures_recipe(wanted: Wanted, classes: Sequence[str]) -> Recipe:
    """The recipe that `decant distill` runs: a teacher that knows the classes teaches as it is, another is fine-tuned.

    Raises:
        ValueError: networks, methods or changes that there are not.
    """
    student = _student_recipe(wanted)
    weights = str(wanted.teacher_weights.resolve()) if wanted.teacher_weights is not None else None
    if weights is not None or wanted.pretrained:
        known = (
            classes_of(wanted.teacher, like=classes) if weights is None else read_about(Path(weights)).get("classes")
        )
        if known is not None and set(classes) <= set(known):
            source = _network(TeacherSettings, wanted, wanted.teacher, weights=weights, pretrained=wanted.pretrained)
            return with_changes(replace(student, teacher=source), wanted.changes)
    epochs = wanted.teacher_epochs or wanted.epochs
    train = _budget(epochs)
    if weights is not None or wanted.pretrained:  # the classifier is a fresh one: it learns first, then all, gently
        train = replace(train, learning_rate=0.01, probe_epochs=max(1, epochs // 5) if epochs > 1 else 0)
    taught = Recipe(
        task=wanted.task,
        method=ROLES[wanted.task].baseline(),
        student=_network(NetworkSettings, wanted, wanted.teacher, weights=weights, pretrained=wanted.pretrained),
        data=_data(wanted, wanted.teacher, wanted.pretrained),
        train=train,
    )
    return with_changes(replace(student, teacher=TeacherSettings(recipe=taught)), wanted.changes)


def _student_recipe(wanted: Wanted) -> Recipe:
    alone = Recipe(
        task=wanted.task,
        method=ROLES[wanted.task].baseline(),
        student=_network(NetworkSettings, wanted, wanted.student, pretrained=wanted.student_pretrained),
        data=replace(_data(wanted, wanted.student, wanted.student_pretrained), unlabelled=wanted.unlabelled),
        train=_budget(wanted.epochs),
    )
    method = method_settings(wanted.taught, alone.method, alone.compare)
    return replace(alone, method=within(method, wanted.epochs))


def _network(kind: type[Settings], wanted: Wanted, name: str, **settings: Any) -> Settings:
    return network_named(kind, name, trust_code=wanted.trust_code, **settings)


def _budget(epochs: int) -> TrainSettings:
    return TrainSettings(epochs=epochs, nesterov=True, schedule=Cosine(warmup=min(5.0, epochs / 10)))


def _data(wanted: Wanted, network: str, pretrained: bool) -> DataSettings:
    """How a network sees the pictures: as its weights were trained to, where they say so."""
    theirs = preprocessing_of(wanted.teacher) if wanted.pretrained else None
    size = wanted.size or (theirs.size if theirs is not None else PictureSettings().size)
    known = preprocessing_of(network) if pretrained else None
    if known is None:
        return DataSettings(name="pictures", pictures=PictureSettings(size=size))
    resize = math.ceil(size * known.resize / known.size)
    pictures = PictureSettings(
        size=size, resize=resize, mean=known.mean, std=known.std, interpolation=known.interpolation
    )
    return DataSettings(name="pictures", pictures=pictures)


def _refuse_folder(out: Path, pictures: Path | None, code: Mapping[str, bytes]) -> None:
    if pictures is not None and out.resolve().is_relative_to(pictures.resolve()):
        raise ValueError(f"{out} is inside the pictures, where nothing is written; give a folder elsewhere with --out")
    if not out.exists():
        return
    present = [entry.name for entry in out.iterdir()] if out.is_dir() else [out.name]
    for name, content in code.items():
        if (out / name).is_file() and (out / name).read_bytes() != content:
            raise FileExistsError(
                f"{out / name} is other code than that of the student; give another folder with --out"
            )
    ours = {"runs", "teachers", CARD_FILE, *code}  # and what was exported beside the student
    if strangers := sorted(name for name in present if name not in ours and not name.startswith("student.")):
        raise FileExistsError(
            f"{out} holds something else ({', '.join(strangers[:3])}); give another folder with --out"
        )


def _told(difference: Interval, names: Sequence[str], task: str) -> str:
    alone, taught = names
    interval = f"{difference.mean:+.2f} [{difference.low:+.2f}, {difference.high:+.2f}]"
    right = "top-1" if task == "classification" else "pictures with every class right"
    return (
        f"{taught} against {alone}: {interval} percentage points of {right} (95% interval over {difference.n:,} test "
        "pictures). This is about these two networks only: another seed may turn it round."
    )


def _difference(recipe: Recipe, plan: Plan, splits: PictureSplits, places: Places) -> Interval:
    """With one seed: the method's student against the one without a teacher, over the pictures."""
    parallel = Parallel(device=places.device, precision=recipe.train.precision)
    layout = torch.channels_last if recipe.train.channels_last else torch.contiguous_format
    right = []
    for name in plan.names:
        planned = plan.shown(name, recipe.seed)
        network = trained_student(planned.recipe, planned.folder / STUDENT_FILE, splits.train)
        network.to(parallel.device).to(memory_format=layout)
        right.append(right_answers(network, splits.test, parallel, recipe).tolist())
    alone, taught = right
    return paired_bootstrap(taught, alone)
