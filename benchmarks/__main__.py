"""`python -m benchmarks [loss step loop]`: measure, print the tables, and keep them as JSON where asked."""

import argparse
import json
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from benchmarks import feature_step, loop, loss, step
from benchmarks.options import PAIRS, WIDE, Options
from benchmarks.reference import Reference
from benchmarks.table import contest_markdown, where
from benchmarks.timing import Contest, hold
from decant.engine.checkpoint import write_text
from decant.engine.environment import describe_environment

GROUPS: dict[str, Callable[[Options], Iterator[Contest]]] = {
    "loss": loss.contests,
    "step": lambda options: chain(step.contests(options), feature_step.contests(options)),
    "loop": loop.contests,
}
"""What can be measured; another group is another function from options to contests."""

_ALLOCATOR_VARIABLES = ("LD_PRELOAD", "GLIBC_TUNABLES", "MALLOC_CONF", "PYTORCH_ALLOC_CONF", "THP_MEM_ALLOC_ENABLE")
_HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def measure(
    names: Sequence[str], options: Options, *, repeats: int, seconds: float, say: Callable[[str], None]
) -> dict[str, Any]:
    """The groups of these names, each with what it ran on, as plain values for a JSON file."""
    groups = {}
    parallel = options.parallel()
    for name in names:
        contests = []
        for contest in GROUPS[name](options):
            timed = hold(contest, repeats=repeats, seconds=seconds, device=parallel.device)
            unit = contest.unit[0] if contest.unit is not None else None
            contests.append({"title": contest.title, "unit": unit, "rows": [asdict(row) for row in timed]})
            say(contest_markdown(contests[-1]))
        if contests:
            groups[name] = {
                "environment": describe_environment(parallel),
                "allocator": allocator(),
                "repeats": repeats,
                "seconds": seconds,
                "contests": contests,
            }
    return groups


def allocator() -> dict[str, str]:
    """What memory is allocated by, on which speed depends: both sides of a contest share it, two machines may not."""
    found = {name: value for name in _ALLOCATOR_VARIABLES if (value := os.environ.get(name))}
    # The name of a library, not where it lies.
    found |= {name: Path(value).name for name, value in found.items() if name == "LD_PRELOAD"}
    if _HUGE_PAGES.exists():
        chosen = _HUGE_PAGES.read_text(encoding="utf-8").partition("[")[2].partition("]")[0]
        found["huge pages"] = chosen
    return found


def keep(path: Path, groups: dict[str, Any]) -> None:
    """Put the groups into a file, beside those of it that were not measured now.

    Raises:
        FileExistsError: the file is there and holds something else.
    """
    before: dict[str, Any] = {}
    if path.exists():
        refusal = f"{path} is not a file of measurements; give another one with --json"
        try:
            before = json.loads(path.read_text(encoding="utf-8"))["groups"]
        except (ValueError, KeyError, TypeError):
            raise FileExistsError(refusal) from None
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps({"groups": before | groups}, indent=2) + "\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("groups", nargs="*", default=[], metavar="GROUP", help=f"{', '.join(GROUPS)}; default: all")
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto: CUDA where there is one"
    )
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32", help="of our networks' arithmetic")
    parser.add_argument("--reference", type=Path, help="a checkout of the reference implementation")
    parser.add_argument("--data", type=Path, help="the folder of CIFAR-100, for the group `loop`")
    parser.add_argument("--json", type=Path, help="file to keep the result in; other groups in it stay")
    parser.add_argument("--pair", action="append", help="teacher:student, may be repeated; default: three pairs")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0, help="least time of a row in a round")
    parser.add_argument("--threads", type=int, help="default: what torch takes")
    parser.add_argument("--no-compile", action="store_true", help="leave out the compiled rows: minutes less")
    chosen = parser.parse_args(arguments)
    if unknown := [name for name in chosen.groups if name not in GROUPS]:
        parser.error(f"there is no group {unknown[0]!r}; there are: {', '.join(GROUPS)}")
    if chosen.threads is not None:
        torch.set_num_threads(chosen.threads)
    warnings.filterwarnings("ignore", module="mdistiller|torch.nn._reduction")  # the reference's own affair
    options = Options(
        device=chosen.device,
        precision=chosen.precision,
        wide=WIDE if chosen.device != "cpu" and torch.cuda.is_available() else (),
        reference=Reference(chosen.reference) if chosen.reference is not None else None,
        folder=chosen.data,
        pairs=tuple(_pair(pair, parser) for pair in chosen.pair) if chosen.pair else PAIRS,
        compiled=not chosen.no_compile,
    )
    try:
        options.parallel()
    except ValueError as error:
        parser.error(str(error))
    names = chosen.groups or list(GROUPS)
    groups = measure(names, options, repeats=chosen.repeats, seconds=chosen.seconds, say=print)
    for name in names:
        print(f"{name}: {where(groups[name])}" if name in groups else f"{name}: not measured, it needs --data")
    if chosen.json is not None:
        keep(chosen.json, groups)


def _pair(text: str, parser: argparse.ArgumentParser) -> tuple[str, str]:
    teacher, colon, student = text.partition(":")
    if not (teacher and colon and student):
        parser.error(f"--pair is teacher:student, such as resnet56:resnet20, got {text!r}")
    return teacher, student


if __name__ == "__main__":
    main()
