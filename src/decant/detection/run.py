"""A detection recipe from start to end: pictures, teacher, training, and a run folder like any other."""

import warnings
from pathlib import Path
from typing import Any

from decant.detection.data_settings import PictureSplits, load_pictures
from decant.detection.evaluation import require_evaluator
from decant.detection.pretrained import trained_backbone
from decant.detection.recipe import DetectionRecipe
from decant.detection.teacher import (
    DetectionTeacher,
    load_detector,
    teacher_from_file,
    teacher_from_torchvision,
    weights_folder,
)
from decant.detection.training import DetectionTraining
from decant.engine.checkpoint import STUDENT_FILE
from decant.engine.epochs import Progress, take_up, train_epochs
from decant.engine.fit import EpochLog
from decant.engine.lost_process import told_of_lost_processes
from decant.engine.memory import told_of_full_memory
from decant.engine.parallel import Parallel
from decant.engine.places import Places
from decant.engine.progress import Reporter
from decant.engine.record import RunFolder, finished, read_summary
from decant.engine.teacher import teacher_folder
from decant.engine.tracking import tracking_of
from decant.engine.training import own_random_state


def train_detector(
    recipe: DetectionRecipe,
    out: Path,
    places: Places,
    *,
    reporter: Reporter | None = None,
    splits: PictureSplits | None = None,
    teacher: DetectionTeacher | None = None,
    announce: bool = True,
) -> dict[str, Any]:
    """Train the student of a detection recipe; its teacher first, where that is not done yet.

    A folder that holds a part of this very run is taken up where it stopped; one that holds all of it is left alone.

    Args:
        recipe: what to train.
        out: the run folder.
        places: teachers, data and device on this machine.
        reporter: where to say what is going on.
        splits: the recipe's pictures, where the caller has loaded them already.
        teacher: the recipe's teacher, likewise.
        announce: say beforehand what will be done and how long it will take.

    Returns:
        The run's summary, as in its summary.json.

    Raises:
        FileExistsError: ``out`` holds something else.
        FileNotFoundError: pictures, annotations or weights that are not there.
        ImportError: faster-coco-eval, with which every epoch is judged, is missing.
        OSError: less free disk than the run needs.
        NonFiniteLossError: the training diverged.
    """
    require_evaluator()
    if places.shard:
        raise ValueError("detectors are not divided among processes; leave out --shard")
    parallel = Parallel(device=places.device, precision=recipe.train.precision)
    reporter = reporter if reporter is not None and parallel.main else Reporter()
    tracking = tracking_of(recipe, out, places, reporter.say)
    folder = RunFolder(out, recipe, parallel, places.keep, tracking)
    if folder.finished:
        if announce:
            reporter.say(f"{out}: finished before, nothing to do")
        return read_summary(out)
    if splits is None:
        splits = load_pictures(recipe.data, places.data)
    if teacher is None:
        teacher = find_detection_teacher(recipe, splits, places, reporter=reporter)
    # A new one: the teacher may have been trained in another precision meanwhile.
    parallel = Parallel(device=places.device, precision=recipe.train.precision)
    with own_random_state(parallel.device), told_of_full_memory(recipe.train.loop), told_of_lost_processes():
        training, remarks = prepared_training(recipe, splits, teacher, places, parallel)
        return _train_to_the_end(training, folder, teacher, reporter, (*splits.remarks, *remarks) if announce else None)


def prepared_training(
    recipe: DetectionRecipe,
    splits: PictureSplits,
    teacher: DetectionTeacher | None,
    places: Places,
    parallel: Parallel,
) -> tuple[DetectionTraining, tuple[str, ...]]:
    """What trains, and what was remarkable about the pair; call under ``own_random_state``."""
    backbone = None
    if recipe.student.trained_backbone is not None:
        with parallel.main_first():
            backbone = trained_backbone(
                recipe.student.name,
                recipe.student.trained_backbone,
                weights_folder(places),
                download=places.download,
            )
    with warnings.catch_warnings(record=True) as caught:  # said with the rest
        warnings.simplefilter("always", UserWarning)
        training = DetectionTraining(recipe, splits, teacher, parallel, backbone)
    return training, tuple(str(warning.message) for warning in caught if warning.category is UserWarning)


def find_detection_teacher(
    recipe: DetectionRecipe, splits: PictureSplits, places: Places, *, reporter: Reporter | None = None
) -> DetectionTeacher | None:
    """The recipe's teacher: loaded, or found where it was kept, or trained now; None where the recipe has none."""
    settings, reporter = recipe.teacher, reporter or Reporter()
    if settings is None:
        return None
    if settings.torchvision is not None:
        return teacher_from_torchvision(settings, settings.torchvision, places)
    classes = splits.train.classes
    if settings.recipe is None:
        if settings.detector is None or settings.weights is None:
            raise ValueError("a teacher without recipe has a detector and weights")
        return teacher_from_file(settings, settings.detector, Path(settings.weights), classes, None)
    folder = teacher_folder(places.teachers, settings.recipe)
    if finished(folder):
        reporter.say(f"teacher {settings.name}: found in {folder}")
    else:
        reporter.say(f"teacher {settings.name}: trained first, kept in {folder}")
        train_detector(settings.recipe, folder, places, reporter=reporter)
    ap = read_summary(folder)["last"]["ap"]
    return teacher_from_file(settings, settings.recipe.student, folder / STUDENT_FILE, classes, ap)


def trained_detector(folder: Path, recipe: DetectionRecipe, classes: int) -> Any:
    """The student that a finished run left, on the CPU, in eval mode."""
    return load_detector(recipe.student, folder / STUDENT_FILE, classes).eval()


def _train_to_the_end(
    training: DetectionTraining,
    folder: RunFolder,
    teacher: DetectionTeacher | None,
    reporter: Reporter,
    remarks: tuple[str, ...] | None,
) -> dict[str, Any]:
    recipe, settings, train = training.recipe, training.settings, training.splits.train
    origin = {"teacher": teacher.sha256 if teacher is not None else None, "data": train.fingerprint()}
    with folder.held():
        progress = take_up(training, folder, origin, settings, reporter)
        if remarks is not None:
            _announce(training, folder, progress.epoch, reporter, remarks)
        train_epochs(
            training,
            folder,
            progress,
            origin=origin,
            settings=settings,
            title=f"{recipe.student.name} {recipe.methods} seed {recipe.seed}",
            row=lambda log, seconds: _row(training, log, progress, seconds),
            status=lambda row: f"AP {_shown(row['ap'])} on {row['split']}",
            reporter=reporter,
        )
        summary = _summary(training, teacher, origin["data"], progress)
        about = {"task": recipe.task, "network": summary["network"], "classes": list(train.classes)}
        folder.finish(training.student, summary, about | {"weights": summary["evaluated"]}, settings.weights_type)
    return summary


def _announce(
    training: DetectionTraining, folder: RunFolder, done: int, reporter: Reporter, remarks: tuple[str, ...]
) -> None:
    recipe, cost = training.recipe, training.estimate(folder.path, done)
    reporter.say(
        f"{folder.path}: {recipe.student.name} by {recipe.methods} on {recipe.data.name}, "
        f"{training.settings.epochs - done} epochs of {training.steps} steps: {cost.sentence()}"
    )
    for remark in (*recipe.remarks, *remarks):
        reporter.say(f"  note: {remark}")
    cost.require_room(folder.path)


def _row(training: DetectionTraining, log: EpochLog, progress: Progress, seconds: float) -> dict[str, Any]:
    """A line of metrics.jsonl: what was measured after an epoch, and what the epoch was trained with."""
    return {
        "epoch": progress.epoch,
        "split": training.splits.judged,
        **training.evaluate().to_dict(),
        "train_loss": log.loss,
        "terms": log.terms,
        "weights": training.distiller.weights(progress.epoch - 1),
        "learning_rate": training.learning_rate,
        "seconds": round(seconds, 3),
    }


def _summary(
    training: DetectionTraining, teacher: DetectionTeacher | None, data: str | None, progress: Progress
) -> dict[str, Any]:
    return {
        "finished": True,
        "network": training.recipe.student.name,
        "epochs": progress.epoch,
        "last": progress.rows[-1],
        "best": max(progress.rows, key=lambda row: float(row["ap"] or 0)),
        "seconds": round(progress.seconds, 3),
        "parameters": sum(parameter.numel() for parameter in training.student.parameters()),
        "teacher": teacher.to_dict() if teacher is not None else None,
        "evaluated": "student",
        "data": data,
        "judged": training.splits.test.fingerprint(),
    }


def _shown(ap: float | None) -> str:
    return "-" if ap is None else f"{ap:.2f}"
