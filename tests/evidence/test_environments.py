from pathlib import Path
from typing import Any

import pytest

from decant.evidence import Run
from decant.evidence.environments import describe_mixed_environments

ENVIRONMENT: dict[str, Any] = {
    "python": "3.12.1",
    "packages": {"decant-kd": "0.1.0", "torch": "2.10.0", "torchvision": None},
    "system": "Linux x86_64",
    "device": "cpu: Some Model",
    "threads": 1,
    "processes": 1,
    "precision": "fp32",
    "source": {"commit": "abc1234" + "0" * 33, "changed": False},
}
PACKAGES, SOURCE = ENVIRONMENT["packages"], ENVIRONMENT["source"]


def described(*changes: dict[str, Any]) -> str | None:
    runs = [Run(Path(str(i)), {}, ENVIRONMENT | change, (), None) for i, change in enumerate(changes)]
    return describe_mixed_environments(runs)


def test_one_environment_needs_no_words() -> None:
    assert described({}, {}, {}) is None
    assert described({"source": None}, {"source": None}) is None
    assert described({"source": SOURCE | {"changed": True}}) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"device": "cuda: Some GPU"}, "device cpu: Some Model and cuda: Some GPU"),
        ({"threads": 2}, "threads 1 and 2"),
        ({"processes": 4}, "processes 1 and 4"),
        ({"precision": "bf16"}, "precision fp32 and bf16"),
        ({"python": "3.13.0"}, "python 3.12.1 and 3.13.0"),
        ({"packages": PACKAGES | {"torch": "2.11.0"}}, "torch 2.10.0 and 2.11.0"),
        ({"packages": PACKAGES | {"torchvision": "0.25.0"}}, "torchvision unknown and 0.25.0"),
        ({"source": {"commit": "def5678" + "0" * 33, "changed": False}}, "source commit abc1234 and def5678"),
        ({"source": SOURCE | {"changed": True}}, "source commit abc1234 and abc1234 with changes"),
        ({"source": None}, "source commit abc1234 and unknown"),
        ({"resumed": [["threads: there 1, here 2"]]}, "threads changed within a run that was resumed"),
        (
            {"resumed": [["packages.torch: there '2.10.0', here '2.11.0'"], ["source.commit: there 'a', here 'b'"]]},
            "torch and source commit changed within a run that was resumed",
        ),
    ],
)
def test_what_differed_is_named_wherever_it_did(change: dict[str, Any], words: str) -> None:
    assert described({}, {}, change) == f"The runs were not all made in one environment: {words}."


def test_all_that_differed_is_listed_each_value_once() -> None:
    other = {"threads": 2, "source": {"commit": "def5678" + "0" * 33, "changed": False}}
    assert described({}, other, {}, other | {"threads": 4}) == (
        "The runs were not all made in one environment: threads 1, 2 and 4; source commit abc1234 and def5678."
    )


def test_what_only_some_runs_recorded_is_unknown_of_the_others() -> None:
    runs = [
        Run(Path("a"), {}, {"device": "cpu"}, (), None),
        Run(Path("b"), {}, {"device": "cpu", "threads": 2}, (), None),
    ]
    assert describe_mixed_environments(runs) == "The runs were not all made in one environment: threads unknown and 2."
