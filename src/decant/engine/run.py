"""A recipe from start to end: data, teacher, training, and a run folder that can be resumed, repeated and believed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from decant.data import DataSettings, PictureSplits, Splits, load, load_pictures
from decant.engine.checkpoint import STUDENT_FILE
from decant.engine.epochs import Progress, take_up, train_epochs
from decant.engine.evaluate import evaluate
from decant.engine.fit import EpochLog
from decant.engine.lost_process import told_of_lost_processes
from decant.engine.memory import told_of_full_memory
from decant.engine.multilabel_score import evaluate_multilabel
from decant.engine.parallel import Parallel
from decant.engine.places import Places
from decant.engine.progress import Reporter
from decant.engine.record import RunFolder, finished, read_summary
from decant.engine.student_file import about_student, made_and_measured
from decant.engine.teacher import Teacher, averaged, load_teacher, teacher_folder
from decant.engine.tracking import tracking_of
from decant.engine.training import Training, own_random_state, refuse_early
from decant.recipe import Recipe, TeacherSettings


def train(
    recipe: Recipe,
    out: Path,
    places: Places,
    *,
    reporter: Reporter | None = None,
    splits: Splits | PictureSplits | None = None,
    teacher: Teacher | None = None,
    announce: bool = True,
) -> dict[str, Any]:
    """Train the student of a recipe; its teacher first, where that is not done yet.

    A folder that holds a part of this very run is taken up where it stopped; one that holds all of it is left alone.

    Args:
        recipe: what to train.
        out: the run folder.
        places: teachers, data and device on this machine.
        reporter: where to say what is going on.
        splits: the recipe's data, where the caller has loaded it already.
        teacher: the recipe's teacher, likewise.
        announce: say beforehand what will be done and how long it will take.

    Returns:
        The run's summary, as in its summary.json.

    Raises:
        FileExistsError: ``out`` holds something else.
        FileNotFoundError: data or weights that are not there.
        OSError: less free disk than the run needs, or a disk that became full.
        LostProcessError: another process of the run is gone.
        MemoryError: what is trained does not fit into memory; the message says what to lower.
        NonFiniteLossError: the training diverged.
        TerminatedError: SIGTERM came; what was trained is kept, and the same call goes on.
    """
    parallel = Parallel(device=places.device, precision=recipe.train.precision, shard=places.shard)
    reporter = reporter if reporter is not None and parallel.main else Reporter()
    tracking = tracking_of(recipe, out, places, reporter.say)
    folder = RunFolder(out, recipe, parallel, places.keep, tracking)
    if folder.finished:
        if announce:
            reporter.say(f"{out}: finished before, nothing to do")
        return read_summary(out)
    if splits is None:
        splits = load_data(recipe, places, reporter)
    if teacher is None and recipe.teacher is not None:
        refuse_early(recipe, splits, places, parallel)
        teacher = find_teacher(recipe, splits, places, reporter=reporter)
    # A new one: the teacher may have been trained in another precision meanwhile.
    parallel = Parallel(device=places.device, precision=recipe.train.precision, shard=places.shard)
    with own_random_state(parallel.device), told_of_full_memory(recipe.train), told_of_lost_processes():
        training = Training(recipe, splits, teacher, parallel)
        return _train_to_the_end(training, folder, teacher, places, reporter, announce)


def load_data(recipe: Recipe, places: Places, reporter: Reporter | None = None) -> Splits | PictureSplits:
    """The recipe's data on the device."""
    parallel = Parallel(device=places.device)
    with parallel.main_first():
        if recipe.data.name == "pictures":
            return load_pictures(
                recipe.data,
                places.data,
                device=parallel.device,
                workers=places.workers,
                cache=places.checks,
                unlabelled=places.unlabelled,
                several=recipe.task == "multilabel",
                download=places.download,
                say=(reporter or Reporter()).say,
            )
        return load(recipe.data, root=places.data, device=parallel.device, download=places.download)


def load_judged(recipe: Recipe, places: Places) -> Splits | PictureSplits:
    """The recipe's data to judge by, for which pictures without a label need not be at hand: they judge nothing."""
    return load_data(replace(recipe, data=replace(recipe.data, unlabelled=False)), places)


def find_teacher(
    recipe: Recipe, splits: Splits | PictureSplits, places: Places, *, reporter: Reporter | None = None
) -> Teacher | None:
    """The recipe's teacher: loaded, or found where it was kept, or trained now; None where the recipe has none."""
    settings = recipe.teacher
    if settings is None:
        return None
    reporter = reporter or Reporter()
    teachers = [_one_teacher(source, recipe.data, splits, places, reporter) for source in settings.sources]
    teacher, *others = teachers
    if others:
        teacher = averaged(teachers, [source.share for source in settings.sources])
    if recipe.task == "multilabel":
        parallel = Parallel(device=places.device, precision=recipe.train.precision)
        measured = evaluate_multilabel(teacher.network.to(parallel.device), splits.test, parallel)
        teacher = replace(teacher, map=measured.map)
        reporter.say(f"teacher {teacher.name}: {recipe.metric_name} {measured.map:.2f} on test")
    elif teacher.top1 is None:  # a file may hold anything: untrained weights, or those of another normalisation
        parallel = Parallel(device=places.device, precision=recipe.train.precision)
        score = evaluate(teacher.network.to(parallel.device), splits.test, parallel)
        teacher = replace(teacher, top1=score.top1)
        came = (
            "several"
            if others
            else "pretrained"
            if settings.pretrained
            else Path(settings.weights or STUDENT_FILE).name
        )
        reporter.say(f"teacher {teacher.name}: {came}, top-1 {score.top1:.2f} on test")
    return teacher


def kept_teacher(recipe: Recipe, splits: Splits | PictureSplits, places: Places) -> Teacher:
    """The recipe's teacher where it is at hand: nothing is trained or downloaded for it.

    Raises:
        FileNotFoundError: it is not at hand.
        ValueError: the recipe has none.
    """
    if recipe.teacher is None:
        raise ValueError("the recipe has no teacher")
    for source in recipe.teacher.sources:
        if source.recipe is not None and not finished(teacher_folder(places.teachers, source.recipe)):
            raise FileNotFoundError(
                f"the teacher {source.network} is not in {places.teachers}; say with --teachers where it is kept"
            )
        if source.recipe is None and source.weights is None:
            raise FileNotFoundError(f"the teacher {source.network} is a pretrained one, which might be downloaded")
    teacher = find_teacher(recipe, splits, places)
    assert teacher is not None, "the recipe has one"
    return teacher


def _one_teacher(
    settings: TeacherSettings, data: DataSettings, splits: Splits | PictureSplits, places: Places, reporter: Reporter
) -> Teacher:
    path, top1 = Path(settings.weights) if settings.weights is not None else None, None
    if settings.recipe is not None:
        folder = teacher_folder(places.teachers, settings.recipe)
        if finished(folder):
            reporter.say(f"teacher {settings.network}: found in {folder}")
        else:
            reporter.say(f"teacher {settings.network}: trained first, kept in {folder}")
            shared = splits if settings.recipe.data == data else None  # not loaded, or checked, a second time
            train(settings.recipe, folder, places, reporter=reporter, splits=shared)
        last = read_summary(folder)["last"]
        path, top1 = folder / STUDENT_FILE, last.get("top1") if last["split"] == "test" else None
    teacher = load_teacher(path, settings, splits.train, top1=top1)
    for note in teacher.notes:
        reporter.say(f"  teacher {settings.network} {note}")
    return teacher


def _train_to_the_end(
    training: Training,
    folder: RunFolder,
    teacher: Teacher | None,
    places: Places,
    reporter: Reporter,
    announce: bool,
) -> dict[str, Any]:
    recipe, settings = training.recipe, training.recipe.train
    origin = {"teacher": teacher.sha256 if teacher is not None else None, "data": training.train_set.fingerprint()}
    title = f"{recipe.student.name} {recipe.method.name} seed {recipe.seed}"
    with folder.held(), training.table_open(places, reporter):
        progress = take_up(training, folder, origin, settings, reporter)
        if settings.compile:
            _compile(training, reporter)
        if announce:
            _announce(training, folder, progress.epoch, reporter)
        train_epochs(
            training,
            folder,
            progress,
            origin=origin,
            settings=settings,
            title=title,
            row=lambda log, seconds: _row(training, log, progress, seconds),
            status=lambda row: f"{recipe.metric_name} {row[recipe.metric]:.2f} on {row['split']}",
            reporter=reporter,
            before_keeping=training.flush_table,
        )
        summary = _summary(training, teacher, origin["data"], progress)
        deployed, parts = training.deployed, training.distiller.method.deployed_parts()
        about = about_student(recipe, deployed, parts, training.train_set)
        about |= made_and_measured(recipe, summary, training.train_set.size)
        folder.finish(deployed, summary, about, settings.weights_type)
    return summary


def _compile(training: Training, reporter: Reporter) -> None:
    reporter.say("train.compile: compiling student, teacher and loss, which takes minutes the first time")
    if (reason := training.compile()) is not None:
        reporter.say(f"train.compile does not work here, training goes on without it ({reason})")


def _announce(training: Training, folder: RunFolder, done: int, reporter: Reporter) -> None:
    settings = training.recipe.train
    cost = training.estimate(folder.path, done)
    reporter.say(
        f"{folder.path}: {training.recipe.student.name} by {training.recipe.method.name} on "
        f"{training.recipe.data.name}, {settings.epochs - done} epochs of {training.steps} steps: {cost.sentence()}"
    )
    if training.folded is not None:
        reporter.say(f"  teacher {training.folded.sentence()}")
    if cost.forecast is not None:
        for line in (cost.forecast.sentence(), *cost.forecast.use, *cost.forecast.rounding):
            reporter.say(f"  {line}")
    for remark in training.recipe.remarks:
        reporter.say(f"  note: {remark}")
    cost.require_room(folder.path)


def _row(training: Training, log: EpochLog, progress: Progress, seconds: float) -> dict[str, Any]:
    """A line of metrics.jsonl: what was measured after an epoch, and what the epoch was trained with."""
    hits = training.teacher_hits()
    return {
        "epoch": progress.epoch,
        "split": training.recipe.judged_on,
        **training.evaluate().to_dict(),
        "train_loss": log.loss,
        "terms": log.terms,
        "weights": training.distiller.method.weights(progress.epoch - 1),
        "learning_rate": training.learning_rate,
        "seconds": round(seconds, 3),
        **({"skipped": len(log.skipped)} if training.recipe.train.on_nonfinite == "skip" else {}),
        **({"teacher_hits": round(hits, 6)} if hits is not None else {}),
    }


def _summary(training: Training, teacher: Teacher | None, data: str | None, progress: Progress) -> dict[str, Any]:
    best = max(progress.rows, key=lambda row: float(row[training.recipe.metric]))
    unlabelled = training.train_set.size - len(training.supply.labelled)
    return {
        "finished": True,
        "network": training.recipe.student.name,
        "epochs": progress.epoch,
        "last": progress.rows[-1],
        "best": best,
        "seconds": round(progress.seconds, 3),
        "parameters": sum(parameter.numel() for parameter in training.deployed.parameters()),
        "teacher": teacher.to_dict() if teacher is not None and training.distiller.teacher is not None else None,
        "evaluated": "moving average" if training.average is not None else "student",
        "data": data,
        "judged": training.judged.fingerprint(),
        **({"unlabelled": {"images": unlabelled, "of": training.train_set.size}} if unlabelled else {}),
    }
