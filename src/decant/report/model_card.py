"""The page that travels with a student: what it is, how it was made and measured, and where it ends."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from decant.engine.checkpoint import CARD_FILE, STUDENT_FILE, read_about, write_text
from decant.engine.publish import portable
from decant.evidence import Comparison, read_run, verdict
from decant.recipe import is_own, named_code
from decant.report import wording
from decant.report.summary import bullets, section
from decant.report.table import comparison_markdown, markdown_table

_MARK = "<!-- made by decant, sha256 "
_CLASSES_SHOWN = 50

_HEADER = """---
library_name: decant
pipeline_tag: image-classification
tags:
- image-classification
- knowledge-distillation
---"""

_USE = """```python
import decant

student = decant.load_student("student.safetensors"{trusting})
logits = student.network(student.preprocess("picture.jpg")[None])
print({says})
```"""

_ONE = "student.classes[logits.argmax()]"
_SEVERAL = "[name for name, logit in zip(student.classes, logits[0]) if logit > 0]"

_LICENCE = (
    "To be filled in by whoever publishes this student. What may decide it: the licence of the training data, of the "
    "teacher's weights, of the weights that the student started from, and of the network's code."
)


def model_card(
    about: Mapping[str, Any],
    *,
    command: str,
    comparison: Comparison | None = None,
    recipe: Mapping[str, Any] | None = None,
    environment: Mapping[str, Any] | None = None,
) -> str:
    """The card of a classifier, made of nothing but what its file and its run say.

    Args:
        about: what the student's file says, as ``decant.load_student(...).about``.
        command: the command that made it.
        comparison: the comparison that it is the first seed of; None for a run alone.
        recipe: the run's recipe, without paths; None leaves it out.
        environment: the run's environment.json; None leaves it out.

    Raises:
        ValueError: a file that does not say how it was made.
    """
    if "made" not in about or "measured" not in about:
        raise ValueError(f"{STUDENT_FILE} does not say how it was made and measured: it is of an earlier version")
    classes = about["classes"]
    parts = [
        _HEADER,
        f"# {about['network']} for {len(classes)} classes",
        f"A {_taught(about['made'])}. Made with Decant.",
        section("Use", _use(about)),
        section("What it sees", bullets(_sees(about["sees"]))),
        section("How it was made", f"```\n{command.strip()}\n```\n\n{bullets(_made(about, environment or {}))}"),
        section("How it was measured", _measured(about["measured"], comparison)),
        section("Limits", bullets(_limits(about, comparison))),
        section("Licence", _LICENCE),
        section("Classes", _listed(classes)),
    ]
    if recipe is not None:
        parts.append(section("Recipe", f"```json\n{json.dumps(recipe, indent=1)}\n```"))
    return "\n\n".join(parts) + "\n"


def write_card(folder: Path, *, command: str, comparison: Comparison | None = None) -> bool:
    """Write the card of the student in a folder beside it, unless a person has changed the one that is there.

    Args:
        folder: of a run, or of ``decant distill``, with a student.
        command: the command that made it.
        comparison: the comparison that it is the first seed of; by default that of ``runs``, where there is one.

    Returns:
        Whether it was written; a card that a person changed, or wrote, is left as it is.

    Raises:
        FileNotFoundError: there is no student.
        ValueError: a detector's student, or one that does not say how it was made.
    """
    file = folder / STUDENT_FILE
    if not file.is_file():
        raise FileNotFoundError(f"there is no {file}: name the folder of a finished run, or of decant distill")
    about = read_about(file)
    if about.get("task") == "detection":
        raise ValueError(f"{file} is a detector's: there are cards of classifiers only")
    compared = folder / "runs" / "comparison.json"
    if comparison is None and compared.is_file():
        comparison = Comparison.from_json(json.loads(compared.read_text(encoding="utf-8")))
    card, run = folder / CARD_FILE, folder
    if comparison is not None and "made" in about:
        run = folder / "runs" / _shown(comparison) / f"seed-{about['made']['seed']}"
    recipe, environment = (_read(run / name) for name in ("recipe.json", "environment.json"))
    text = model_card(about, command=command, comparison=comparison, recipe=portable(recipe), environment=environment)
    if card.exists() and not untouched(card.read_text(encoding="utf-8")):
        return False
    write_text(card, f"{text}\n{_MARK}{_digest(text)} -->\n")
    return True


def untouched(card: str) -> bool:
    """Whether a card is as it was made."""
    text, mark, rest = card.rpartition(f"\n{_MARK}")
    return bool(mark) and rest == f"{_digest(text)} -->\n"


def command_of(folder: Path) -> str:
    """The command that makes the run of a folder again, as far as its files tell."""
    if (folder / "recipe.json").is_file():
        read_run(folder)  # refuses a folder that is no run's
        trusting = " --trust-code" if named_code(_read(folder / "recipe.json")) else ""
        return f"decant train recipe.json{trusting}  # the recipe below"
    card = folder / CARD_FILE
    if card.is_file():  # as it was told when the card was made
        fenced = card.read_text(encoding="utf-8").split("## How it was made", 1)[-1].split("```")
        if len(fenced) > 2:
            return fenced[1].strip()
    return "decant distill PICTURES"


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _shown(comparison: Comparison) -> str:
    """Name of the method whose student it is: the last one that is compared."""
    return comparison.results[-1].name


def _taught(made: Mapping[str, Any]) -> str:
    method = made["method"]
    names = "+".join(part["name"] for part in (method if isinstance(method, list) else [method]))
    return f"student distilled from {made['teacher']} by {names}" if made["teacher"] else "network trained by labels"


def _use(about: Mapping[str, Any]) -> str:
    says = _SEVERAL if about.get("task") == "multilabel" else _ONE
    if not is_own(about["network"]):
        return _USE.format(says=says, trusting="")
    file = about["network"].rpartition(":")[0]
    return (
        f"{_USE.format(says=says, trusting=', trust_code=True')}\n\n"
        f"**The network is code**: `{file}` (sha256 `{about.get('code_sha256')}`) must lie beside the student, and is "
        "run when it is loaded. Read it first: it can do whatever you can."
    )


def _sees(sees: Mapping[str, Any]) -> list[str]:
    height, width = sees["size"]
    mean, std = (", ".join(f"{value:g}" for value in sees[name]) for name in ("mean", "std"))
    return [
        f"Images of {height}x{width} pixels, {'in grey' if len(sees['mean']) == 1 else 'RGB'}: the shorter side "
        f"resized to {sees['resize']} ({sees['interpolation']}), the centre taken.",
        f"(x / 255 - mean) / std, mean {mean}, std {std}.",
    ]


def _made(about: Mapping[str, Any], environment: Mapping[str, Any]) -> list[str]:
    made = about["made"]
    methods = made["method"] if isinstance(made["method"], list) else [made["method"]]
    teacher = f"{made['teacher']} (sha256 `{made['teacher_sha256']}`)" if made["teacher"] else "none"
    lines = [
        *(f"Method: {method['name']} ({wording.settings(method)})." for method in methods),
        f"Teacher: {teacher}.",
        f"Data: {made['data']}, {made['training_samples']:,} training samples of {len(about['classes'])} classes "
        f"(fingerprint `{made['data_sha256']}`).",
        f"{made['epochs']} epoch{'s' * (made['epochs'] != 1)}, seed {made['seed']}; saved is the {about['weights']}.",
        f"decant {made['decant']}, torch {made['torch']}.",
    ]
    return lines + ([f"On {environment['device']}, {environment['precision']}."] if environment else [])


def _measured(measured: Mapping[str, Any], comparison: Comparison | None) -> str:
    table = markdown_table(["this student", ""], _scores(measured), [False, True])
    told = (
        f"On {measured['samples']:,} {measured['split']} images, after the last epoch ({measured['epoch']}).\n\n{table}"
    )
    if comparison is None:
        return told
    seeds = wording.seeds(comparison.seeds)
    return (
        f"{told}\nAll students of its comparison (seeds {seeds}; this one is the first of {_shown(comparison)}):\n\n"
        f"{comparison_markdown(comparison)}\n{bullets(list(verdict(comparison).lines))}"
    )


def _scores(measured: Mapping[str, Any]) -> list[list[str]]:
    if "map" in measured:  # any number of classes to a picture
        return [
            [f"mean average precision over {measured['classes']} classes, %", f"{measured['map']:.2f}"],
            ["F1 of all yes and no, %", f"{measured['f1']:.2f}"],
            ["every class right, %", f"{measured['exact']:.2f}"],
            ["binary cross-entropy, nats", f"{measured['loss']:.4f}"],
        ]
    return [
        ["top-1, %", f"{measured['top1']:.2f}"],
        ["top-5, %", "-" if measured["top5"] is None else f"{measured['top5']:.2f}"],
        ["cross-entropy, nats", f"{measured['loss']:.4f}"],
        ["same class as the teacher, %", "-" if measured["agreement"] is None else f"{measured['agreement']:.2f}"],
    ]


def _limits(about: Mapping[str, Any], comparison: Comparison | None) -> list[str]:
    seeds = len(comparison.seeds) if comparison is not None else 1
    classes = len(about["classes"])
    lines = [
        f"Each of {classes} classes is a yes or a no by itself; probabilities are not calibrated."
        if about.get("task") == "multilabel"
        else f"Every picture gets one of {classes} classes, also one that shows none of them; probabilities are not "
        "calibrated.",
        "Measured on images like those of its training; what others look like, nobody has measured.",
    ]
    if about["measured"]["split"] != "test":
        lines.append(f"Measured on the {about['measured']['split']} images, which may have chosen its settings.")
    if seeds < 2:
        lines.append("One seed: another would come out differently, by how much is not known.")
    return lines


def _listed(classes: Sequence[str]) -> str:
    shown = ", ".join(classes[:_CLASSES_SHOWN])
    more = len(classes) - _CLASSES_SHOWN
    return f"{shown}, and {more:,} more (`student.classes`)" if more > 0 else shown
