"""The page over all pairs of a suite: every method beside its published number, and what decoupling brought."""

import json
from collections.abc import Mapping
from pathlib import Path

from decant.evidence import Comparison
from decant.evidence.published import PUBLISHED, TEACHER
from decant.report import wording
from decant.report.table import markdown_table


def read_pairs(folder: Path) -> dict[str, Comparison]:
    """Pair -> its published comparison, of those that are below ``folder``.

    Raises:
        FileNotFoundError: there is none.
    """
    order = {pair: place for place, pair in enumerate(PUBLISHED)}
    kept = {
        path.parent.name: Comparison.from_json(json.loads(path.read_text(encoding="utf-8")))
        for path in folder.glob("*/comparison.json")
    }
    # Other comparisons may lie beside them, under names of their own.
    pairs = sorted(pair for pair, comparison in kept.items() if pair == _pair(comparison))
    if not pairs:
        raise FileNotFoundError(f"{folder} has no comparison of a pair; `decant reproduce {folder.name}` makes them")
    return {pair: kept[pair] for pair in sorted(pairs, key=lambda pair: order.get(pair, len(order)))}


def _pair(comparison: Comparison) -> str:
    teachers = {wording.named(teacher) for teacher in comparison.teachers}
    return f"{'+'.join(sorted(teachers))}-{wording.named(comparison.student)}"


def pairs_markdown(pairs: Mapping[str, Comparison], *, published: bool) -> str:
    """One row per pair and method; beside the published number where these are runs of the published protocol."""
    headings = ["pair", "method", "last epoch, %", "best epoch, %"]
    headings += ["published (best epoch), %", "difference"] if published else []
    rows = []
    for pair, comparison in pairs.items():
        for teacher in comparison.teachers:
            if published and teacher.get("top1") is not None:
                theirs = PUBLISHED.get(pair, {}).get(TEACHER)
                top1 = f"{teacher['top1']:.2f}"
                rows.append([pair, "(teacher)", top1, wording.NOTHING, wording.percent(theirs), wording.NOTHING, "1"])
        for result in comparison.results:
            row = [pair, result.name, wording.mean_and_std(result.last_score), wording.mean_and_std(result.best_score)]
            if published:
                theirs = PUBLISHED.get(pair, {}).get(result.name)
                row += [wording.percent(theirs), _signed(None if theirs is None else result.best_score.mean - theirs)]
            rows.append([*row, str(len(result.last))])
    return markdown_table([*headings, "seeds"], rows, [False, False, *[True] * (len(headings) - 1)])


def gains_markdown(pairs: Mapping[str, Comparison], *, published: bool) -> str:
    """What dkd gains over kd with its published weights, and over kd with its weight matched, per pair."""
    headings = ["pair", "dkd - kd [95%]", "dkd - kd-matched [95%]", "seeds"]
    if published:
        headings.insert(1, "dkd - kd, published")
    rows = []
    for pair, comparison in pairs.items():
        names = {result.name for result in comparison.results}
        if "dkd" not in names:
            continue
        gains = [
            wording.difference(comparison.difference("dkd", other)) if other in names else wording.NOTHING
            for other in ("kd", "kd-matched")
        ]
        theirs = PUBLISHED.get(pair, {})
        row = [pair, *gains, str(len(comparison.seeds))]
        if published:
            row.insert(1, _signed(theirs["dkd"] - theirs["kd"] if theirs else None))
        rows.append(row)
    return markdown_table(headings, rows, [False, *[True] * (len(headings) - 1)])


def repeat_markdown(pairs: Mapping[str, Comparison], folder: Path) -> str:
    """One line per run: what came out, and the command that runs the same again; no path of one machine."""
    where = folder.name if folder.is_absolute() else folder.as_posix()
    rows = []
    for pair, comparison in pairs.items():
        for result in comparison.results:
            for seed in comparison.seeds:
                run = f"{pair}/{result.name}/seed-{seed}"
                again = f"`decant train {where}/{run} --out runs/again/{run}`"
                rows.append([f"{result.last[seed]:.2f}", f"{result.best[seed]:.2f}", again])
    return markdown_table(["last epoch, %", "best epoch, %", "command"], rows, [True, True, False])


def reproduction_page(folder: Path, *, title: str, command: str, published: bool) -> str:
    """The README.md above the folders of the pairs.

    Args:
        folder: where the comparisons are, one folder per pair.
        title: what was run, in one line.
        command: the command that made them, as one would type it.
        published: whether these are runs of the published protocol, as it is.

    Raises:
        FileNotFoundError: there is no comparison below ``folder``.
    """
    pairs = read_pairs(folder)
    explained = "Top-1 on the test images as mean ± sample standard deviation over seeds."
    if published:
        explained += (
            " Published numbers are those of the papers, not ours; they are of the best test epoch, and so is the "
            "difference (ours - published)."
        )
    else:
        explained += " This is not the protocol of the published tables: no number here can be held against them."
    control = (
        "kd has its published weights (0.1 CE + 0.9 KL), kd-matched those of dkd (CE + w KL). What dkd gains over kd "
        "may be one of weights alone; what it gains over kd-matched is what decoupling brings. Points after the last "
        "epoch, paired by seed, with 95% Student-t intervals."
    )
    repeat = (
        "The recipe, the environment and every epoch's numbers are in the run's folder; `--data` says where the data "
        "is, `--teachers` where teachers are."
    )
    table, gains = pairs_markdown(pairs, published=published), gains_markdown(pairs, published=published)
    parts = [
        f"# {title}",
        f"```\n{command}\n```",
        f"{table}\n{explained} Each pair's folder has its own page, with the verdict.",
        f"## What decoupling brought\n\n{gains}\n{control}",
        f"## Every run again\n\n{repeat}\n\n{repeat_markdown(pairs, folder)}",
    ]
    return "\n".join(part if part.endswith("\n") else f"{part}\n" for part in parts)


def _signed(value: float | None) -> str:
    return wording.NOTHING if value is None else f"{value:+.2f}"
