"""`decant export`: a student for other runtimes, checked and timed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from decant.cli.options import DATA, TEACHERS, DataOption, DownloadOption, ThreadsOption, TrustOption, use_threads

if TYPE_CHECKING:
    from torch import Tensor

    from decant.engine import LoadedStudent, Places


def export(
    student: Annotated[Path, typer.Argument(help="A student.safetensors, or the folder of a run.")],
    kind: Annotated[str, typer.Option("--format", help="onnx (needs [export]) or torch-export.")] = "onnx",
    out: Annotated[Path | None, typer.Option("--out", help="The file to write. [default: beside the student]")] = None,
    pictures: Annotated[
        Path | None,
        typer.Option("--pictures", help="Pictures to check with. [default: the test images of the run]"),
    ] = None,
    count: Annotated[int, typer.Option("--count", min=2, help="Check with at most so many.")] = 64,
    tolerance: Annotated[
        float, typer.Option("--tolerance", help="Largest difference allowed, as a share of the largest logit.")
    ] = 1e-4,
    data: DataOption = DATA,
    download: DownloadOption = False,
    threads: ThreadsOption = None,
    trust_code: TrustOption = False,
) -> None:
    """Write a student for other runtimes, once it was found to do the same on real pictures; timed on the CPU."""
    from decant.engine import Places, load_student
    from decant.engine.export import export_student, refuse_foreign
    from decant.engine.export_formats import EXPORT_FORMATS
    from decant.engine.student_file import student_path

    use_threads(threads)
    file, loaded = student_path(student), load_student(student, trust_code=trust_code)
    if kind not in EXPORT_FORMATS:
        raise ValueError(f"there is no format {kind!r}; there are: {', '.join(EXPORT_FORMATS)}")
    out = out or file.with_suffix(EXPORT_FORMATS[kind].suffix)
    refuse_foreign(out, out.with_name(out.name + ".json"))  # before pictures are read
    if pictures:
        images = _from_files(loaded, pictures, count)
    else:
        images = _from_run(student, Places(TEACHERS, data, "cpu", download), count, trust_code)
    made = export_student(loaded, images, out, kind=kind, tolerance=tolerance)
    agreement, console = made.agreement, Console()
    console.print(
        f"{out}: the same as the original on {agreement.pictures} pictures: largest difference of a logit "
        f"{agreement.difference:.2g} (of {agreement.largest_logit:.3g}), same answer for "
        f"{100 * agreement.same_answer:.1f}%",
        highlight=False,
        soft_wrap=True,
    )
    table = Table("on the CPU", *(f"ms per picture, batch {size}" for size in made.milliseconds["original"]))
    for name, times in made.milliseconds.items():
        table.add_row(name, *(f"{value:.3g}" for value in times.values()))
    console.print(table)
    console.print(f"{made.threads} threads; all numbers are in {made.report}", highlight=False, soft_wrap=True)


def _from_files(student: "LoadedStudent", place: Path, count: int) -> "Tensor":
    import torch

    from decant.data.pictures.decode import UnreadablePictureError
    from decant.engine.classify import find_pictures

    found, read = find_pictures([place]), []
    for path in (found[number] for number in _spread(len(found), count)):
        try:
            read.append(student.preprocess(path))
        except UnreadablePictureError as error:
            Console(stderr=True).print(f"{path} is left out: {error}", highlight=False, markup=False, soft_wrap=True)
    if len(read) < 2:
        raise ValueError(f"{place}: the check is made on 2 pictures or more, {len(read)} can be read")
    return torch.stack(read)


def _from_run(run: Path, places: "Places", count: int, trust_code: bool) -> "Tensor":
    import torch

    from decant.data import plain_batches
    from decant.engine.run import load_judged
    from decant.recipe import load_recipe

    recipe = run / "recipe.json"
    if not recipe.is_file():
        raise ValueError(f"{run} names no data: give pictures to check with, --pictures FOLDER")
    test = load_judged(load_recipe(recipe, trust_code=trust_code), places).test
    index = torch.tensor(_spread(test.size, count))
    (batch,) = plain_batches(test.subset(index, test.name), count)
    return batch.images[0]


def _spread(size: int, count: int) -> list[int]:
    """Places of at most ``count`` of ``size``, evenly: of all classes where they are sorted by class."""
    count = min(size, count)
    return [number * size // count for number in range(count)]
