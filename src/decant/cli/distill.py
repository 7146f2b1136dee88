"""`decant distill`: from a folder of pictures to a student and a verdict."""

import shlex
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from decant.cli.options import (
    CacheOption,
    DeviceOption,
    DownloadOption,
    ResultsOption,
    SetOption,
    ThreadsOption,
    TrackOption,
    TrustOption,
    UnlabelledOption,
    WorkersOption,
    trackers_of,
    use_threads,
    workers_of,
)

if TYPE_CHECKING:
    from decant.engine.own_pictures import Wanted


class Task(Enum):
    """What a picture shows: one class, or any number of them."""

    CLASSIFICATION = "classification"
    MULTILABEL = "multilabel"


def distill(
    pictures: Annotated[
        Path, typer.Argument(help="A folder of class folders, a .csv or .tsv of path,label, tar files, or hf:NAME.")
    ],
    teacher: Annotated[
        str, typer.Option("--teacher", help="A network: resnet56, timm/resnet50.a1_in1k, my_file.py:make ...")
    ],
    student: Annotated[str, typer.Option("--student", help="A network, usually a smaller one.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the result; not inside the pictures.")],
    method: Annotated[
        str | None, typer.Option("--method", help="How the student learns. [default: dkd, or bernoulli_dkd]")
    ] = None,
    task: Annotated[
        Task,
        typer.Option("--task", help="multilabel: any number of classes to a picture, in a table of path,label|label2."),
    ] = Task.CLASSIFICATION,
    pretrained: Annotated[
        bool, typer.Option("--pretrained", help="Start the teacher from its library's weights; may download them.")
    ] = False,
    teacher_weights: Annotated[
        Path | None, typer.Option("--teacher-weights", help="Start the teacher from a file.")
    ] = None,
    student_pretrained: Annotated[
        bool, typer.Option("--student-pretrained", help="The same for the student; may download them.")
    ] = False,
    size: Annotated[
        int | None, typer.Option("--size", min=1, help="Height and width seen. [default: the weights' own, or 224]")
    ] = None,
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Of each student.")] = 60,
    teacher_epochs: Annotated[
        int | None, typer.Option("--teacher-epochs", min=1, help="If it is trained. [default: --epochs]")
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Students; a verdict needs 3.")] = 3,
    control: Annotated[bool, typer.Option("--control/--no-control", help="Train students without it, too.")] = True,
    unlabelled: UnlabelledOption = None,
    anyway: Annotated[bool, typer.Option("--anyway", help="Go on with a teacher that is of no use.")] = False,
    changes: SetOption = None,
    cache: CacheOption = None,
    workers: WorkersOption = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    download: DownloadOption = False,
    track: TrackOption = "",
    trust_code: TrustOption = False,
    results: ResultsOption = None,
) -> None:
    """Distil a teacher into a student on your own pictures, and say what it was good for. Goes on where it stopped."""
    from decant.engine import Places
    from decant.engine.checkpoint import CARD_FILE
    from decant.engine.own_pictures import Wanted, distill_pictures
    from decant.engine.progress import reporter_for
    from decant.engine.publish import publish
    from decant.evidence import verdict
    from decant.report import comparison_table, write_comparison
    from decant.report.model_card import write_card

    use_threads(threads)
    wanted = Wanted(
        teacher=teacher,
        student=student,
        task=task.value,
        pretrained=pretrained,
        teacher_weights=teacher_weights,
        student_pretrained=student_pretrained,
        method=method,
        seeds=seeds,
        control=control,
        size=size,
        epochs=epochs,
        teacher_epochs=teacher_epochs,
        anyway=anyway,
        unlabelled=unlabelled is not None,
        changes=tuple(changes or ()),
        trust_code=trust_code,
    )
    console = Console()
    places = Places(
        out / "teachers",
        pictures,
        device,
        download,
        workers=workers_of(workers),
        cache=cache,
        unlabelled=unlabelled,
        track=trackers_of(track),
    )
    made = distill_pictures(wanted, out, places, results=results, reporter=reporter_for(console))
    command = command_of(wanted)
    write_comparison(made.comparison, made.runs, command=command)
    if results is not None:
        publish(made.plan, places.teachers, results)
    if not write_card(out, command=command, comparison=made.comparison):
        console.print(f"{out / CARD_FILE} was changed by hand and is left as it is", highlight=False, soft_wrap=True)
    console.print(comparison_table(made.comparison))
    for line in verdict(made.comparison).lines:
        console.print(line, highlight=False, markup=False)
    console.print(
        f"{made.student}: the student, with its classes and what it sees; {CARD_FILE} beside it; "
        f"{made.runs}: README.md, chart.png, all runs",
        highlight=False,
        soft_wrap=True,
    )


def command_of(wanted: "Wanted") -> str:
    """The command as it is kept: networks, budget and what is not the default; of own files their names alone."""
    from decant.recipe import is_own

    names = [Path(name).name if is_own(name) else name for name in (wanted.teacher, wanted.student)]
    words = ["decant", "distill", "PICTURES", "--teacher", names[0], "--student", names[1]]
    words += ["--method", wanted.method] if wanted.method is not None else []
    words += ["--task", wanted.task] if wanted.task != "classification" else []
    words += ["--teacher-weights", "FILE"] if wanted.teacher_weights is not None else []
    words += ["--unlabelled", "FOLDER"] if wanted.unlabelled else []
    for option, value in (
        ("--size", wanted.size),
        ("--epochs", wanted.epochs),
        ("--teacher-epochs", wanted.teacher_epochs),
        ("--seeds", wanted.seeds),
    ):
        words += [option, str(value)] if value is not None else []
    for option, given in (
        ("--pretrained", wanted.pretrained),
        ("--student-pretrained", wanted.student_pretrained),
        ("--no-control", not wanted.control),
        ("--anyway", wanted.anyway),
        ("--trust-code", wanted.trust_code),
    ):
        words += [option] * given
    for change in wanted.changes:
        words += ["--set", change]
    return shlex.join(words)
