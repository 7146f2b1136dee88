"""What the documentation of the losses claims: the printed numbers are true and the example runs."""

import doctest
import importlib
import inspect
import runpy
from pathlib import Path

import pytest

from decant import losses

EXAMPLE = Path(__file__).parents[2] / "examples" / "01_one_loss.py"


@pytest.mark.parametrize("name", ["kd_loss", "dkd_loss", "dkd_terms", "chunked_linear_dkd_loss"])
def test_every_loss_shows_a_true_number(name: str) -> None:
    function = getattr(losses, name)
    module = importlib.import_module(function.__module__)
    (case,) = (t for t in doctest.DocTestFinder().find(module) if t.name == f"{module.__name__}.{name}")
    assert case.examples
    assert doctest.DocTestRunner().run(case).failed == 0


def test_the_defaults_are_those_of_the_paper() -> None:
    def defaults(name: str) -> dict[str, object]:
        parameters = inspect.signature(getattr(losses, name)).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}

    shared = {"temperature": 4.0, "reduction": "mean"}
    assert defaults("kd_loss") == shared | {"mask": None}
    assert defaults("dkd_terms") == shared | {"ignore_index": -100}
    assert defaults("dkd_loss") == shared | {"ignore_index": -100, "alpha": 1.0, "beta": 8.0}
    assert defaults("chunked_linear_dkd_loss") == defaults("dkd_loss") | {"rows_per_chunk": None}


def test_the_example_teaches_its_student(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    losses_printed = [float(line.split("loss")[1].split()[0]) for line in lines if "loss" in line]
    assert len(losses_printed) >= 2
    assert losses_printed[-1] < 0.5 * losses_printed[0]
