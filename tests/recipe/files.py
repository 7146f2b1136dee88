"""Recipe files, for the tests that read them."""

from pathlib import Path
from typing import Any

STUDENT = """
[student]
name = "resnet8x4"
[data]
name = "cifar100"
"""

DISTILLED = """
[student]
name = "resnet8x4"
[teacher]
recipe = "teacher.toml"
[data]
name = "cifar100"
[method]
name = "dkd"
beta = 4.0
[train]
schedule = { name = "cosine", warmup = 5.0 }
"""


def write(path: Path, text: str) -> Path:
    """The file, made together with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def minimal(**tables: Any) -> dict[str, Any]:
    """The least that a recipe holds, and more."""
    return {"student": {"name": "resnet8x4"}, "data": {"name": "cifar100"}, **tables}


COMPOSED = [{"name": "dkd", "beta": 4.0}, {"name": "reviewkd", "weight": 2.0}]
"""Two methods, as a recipe lists them."""


def distilled(**tables: Any) -> dict[str, Any]:
    """A recipe with a teacher and every kind of table."""
    teacher = minimal(student={"name": "resnet32x4"}, train={"epochs": 3, "schedule": {"name": "onecycle"}})
    whole = minimal(
        teacher={"recipe": teacher},
        method={"name": "dkd", "beta": 4.0},
        train={"schedule": {"name": "multistep", "milestones": [1, 2]}},
        compare={"methods": {"gentle": {"name": "kd", "weight": 0.5}}},
    )
    return {**whole, **tables}
