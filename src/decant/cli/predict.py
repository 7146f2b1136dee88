"""`decant predict`: what a trained network says of pictures, for classifiers and detectors."""

import csv
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from decant.cli import detection
from decant.cli.options import (
    DATA,
    TEACHERS,
    DeviceOption,
    ThreadsOption,
    TrustOption,
    WorkersOption,
    use_threads,
    workers_of,
)

if TYPE_CHECKING:
    from decant.engine.classify import Answer


def predict(
    student: Annotated[Path, typer.Argument(help="A student.safetensors, or the folder of a run.")],
    pictures: Annotated[list[Path], typer.Argument(help="Pictures, or folders of them; one picture for a detector.")],
    top: Annotated[
        int | None,
        typer.Option(
            "--top", min=1, help="So many classes of each picture. [default: 5, or all where each is yes or no]"
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON rather than a table.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print picture,rank,class,probability.")] = False,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Pictures per forward pass.")] = 64,
    workers: WorkersOption = 0,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Of a detector: the file to draw. [default: seen.png]")
    ] = None,
    score: Annotated[
        float, typer.Option("--score", help="Of a detector: probability below which nothing is drawn.")
    ] = 0.5,
    teachers: Annotated[
        Path, typer.Option("--teachers", help="Of a detector: where trained teachers are kept.")
    ] = TEACHERS,
    data: Annotated[Path, typer.Option("--data", help="Of a detector: folder of the data sets on disk.")] = DATA,
    trust_code: TrustOption = False,
) -> None:
    """What a trained student says of pictures: the likeliest classes; of a detector, boxes drawn beside its teacher's.

    Where it learned any number of classes to a picture, each is a yes (a probability above one half) or a no.

    Pictures that cannot be read are named, and the command then ends with 1.
    """
    use_threads(threads)
    if as_json and as_csv:
        raise ValueError("--json or --csv, not both")
    recipe = student / "recipe.json"
    if recipe.is_file() and detection.is_detection(recipe):
        if len(pictures) != 1 or as_json or as_csv:
            raise ValueError("a detector draws one picture: name one, without --json and --csv")
        from decant.engine import Places

        places = Places(teachers=teachers, data=data, device=device)
        detection.draw(student, pictures[0], out or Path("seen.png"), places, score)
        return
    if out is not None:
        raise ValueError("--out is of detectors; a classifier's answers are printed: --json, or --csv > FILE")
    from decant.engine import load_student
    from decant.engine.classify import classify, find_pictures

    loaded, found = load_student(student, trust_code=trust_code), find_pictures(pictures)
    several = loaded.several
    most = top or (len(loaded.classes) if several else 5)
    answers = classify(loaded, found, top=most, batch_size=batch, device=device, workers=workers_of(workers))
    if as_json:
        broken = _print_json(list(answers), several)
    elif as_csv:
        broken = _print_csv(answers, several)
    else:
        broken = _print_table(list(answers), several)
    for answer in broken:
        line = f"{shown(answer.picture)} cannot be read: {answer.fault}"
        Console(stderr=True).print(line, style="red", highlight=False, markup=False, soft_wrap=True)
    if broken:
        raise typer.Exit(1)


def shown(path: Path) -> str:
    """The path as text that any terminal takes, whatever bytes its name is made of."""
    return os.fsencode(path).decode("utf-8", "replace")


def _is_yes(probability: float) -> bool:
    return probability > 0.5  # as scores count them: a logit above 0


def _print_table(answers: Sequence["Answer"], several: bool) -> list["Answer"]:
    most = max(len(answer.classes) for answer in answers)
    table = Table("picture", *(f"{rank}." for rank in range(1, most + 1)))
    for answer in answers:
        if answer.fault is None:
            told = zip(answer.classes, answer.probabilities, strict=True)
            cells = (
                f"{name}{(': yes,' if _is_yes(share) else ': no,') * several} {100 * share:.1f}%"
                for name, share in told
            )
            table.add_row(shown(answer.picture), *cells)
    if most:
        Console().print(table, markup=False)
    return [answer for answer in answers if answer.fault is not None]


def _print_json(answers: Sequence["Answer"], several: bool) -> list["Answer"]:
    broken = [answer for answer in answers if answer.fault is not None]
    values: dict[str, Any] = {
        "pictures": [
            {
                "picture": shown(answer.picture),
                "top": [
                    {"class": name, "probability": share} | ({"yes": _is_yes(share)} if several else {})
                    for name, share in zip(answer.classes, answer.probabilities, strict=True)
                ],
            }
            for answer in answers
            if answer.fault is None
        ],
        "unreadable": [{"picture": shown(answer.picture), "reason": answer.fault} for answer in broken],
    }
    sys.stdout.write(json.dumps(values, indent=1) + "\n")
    return broken


def _print_csv(answers: Any, several: bool) -> list["Answer"]:
    writer, broken = csv.writer(sys.stdout, lineterminator="\n"), []
    writer.writerow(("picture", "rank", "class", "probability", *(["yes"] if several else [])))
    for answer in answers:  # as they come: there may be many
        if answer.fault is not None:
            broken.append(answer)
        for rank, (name, share) in enumerate(zip(answer.classes, answer.probabilities, strict=True), 1):
            yes = [int(_is_yes(share))] if several else []
            writer.writerow((shown(answer.picture), rank, name, f"{share:.6g}", *yes))
    return broken
