"""What holds for every study: it goes on, shares its runs, and leaves a page that has its numbers."""

import doctest
import importlib
import inspect
import json
import sys
from pathlib import Path

import pytest

from decant.engine.plan import Plan
from decant.report import write_findings
from decant.report.findings_page import cell
from decant.studies import SIZES, STUDIES, find_study, plans_of
from engine.tiny import Heard, InterruptAfter, LostMachineError, contents
from studies.small import PAIR, study

every_study = pytest.mark.parametrize("name", STUDIES)


@every_study
def test_it_goes_on_where_it_stopped_and_leaves_a_page_with_its_numbers(name: str, ground: Path) -> None:
    first = study(name, ground)
    before, heard = contents(ground / "all"), Heard()
    again = study(name, ground, heard=heard)
    assert contents(ground / "all") == before
    assert not any("runs to do" in line for line in heard.lines)
    assert again.to_json() == first.to_json()
    folder = ground / "pages" / name
    write_findings(again, folder, command=f"decant study {name} --demo")
    page = (folder / "README.md").read_text()
    assert page.startswith(f"# {name}\n\n{STUDIES[name].question}\n\n```\ndecant study {name} --demo\n```\n")
    for table in first.tables:
        for row in table.rows:
            assert f"| {' | '.join(cell(value) for value in row)} |" in page
    for sentence in (*first.shown, *first.not_shown, *first.caveats):
        assert f"\n- {sentence}\n" in page
    assert (folder / "figure.png").read_bytes().startswith(b"\x89PNG")
    kept = json.loads((folder / "findings.json").read_text())
    assert (kept["study"], kept["command"]) == (name, f"decant study {name} --demo")
    assert not first.shown or name in MEASURED, "two seeds show nothing"


MEASURED = {"seeds"}
"""Studies that say something besides differences between runs."""


@every_study
def test_its_first_line_is_its_question(name: str) -> None:
    asked = STUDIES[name]
    module = sys.modules[asked.findings.__module__]
    assert (inspect.getdoc(module) or "").partition("\n")[0] == asked.question
    assert asked.question.endswith("?")
    assert module.__name__.rpartition(".")[2] == name.replace("-", "_")


@every_study
@pytest.mark.parametrize("size", SIZES)
def test_all_its_comparisons_can_be_planned_at_every_size(name: str, size: str, tmp_path: Path) -> None:
    plans = plans_of(STUDIES[name], SIZES[size](), tmp_path, seeds=3)
    assert plans
    assert all(len(list(plan.runs(method))) >= 3 for plan in plans.values() for method in plan.names)


@pytest.mark.parametrize("size", SIZES)
def test_studies_that_share_a_folder_agree_in_what_lies_there(size: str, tmp_path: Path) -> None:
    plans: dict[Path, list[tuple[str, Plan]]] = {}
    for name, one in STUDIES.items():
        for plan in plans_of(one, SIZES[size](), tmp_path, seeds=3).values():
            plans.setdefault(plan.out, []).append((name, plan))
    for shared in plans.values():
        (_, first), *others = shared
        for name, plan in others:
            assert plan.recipe.trained == first.recipe.trained, name
        for name, plan in shared:
            for other_name, other in shared:
                for method in set(plan.names) & set(other.names):
                    # Both what is run and what tuning can choose from.
                    assert list(plan.runs(method)) == list(other.runs(method)), (name, other_name, method)


def test_an_interrupted_study_goes_on(tmp_path: Path, ground: Path) -> None:
    whole = study("terms", ground)
    for batches in (5, 20):
        with pytest.raises(LostMachineError):
            study("terms", tmp_path, heard=InterruptAfter(batches))
    torn = study("terms", tmp_path)
    assert torn.tables == whole.tables
    more = study("terms", tmp_path, seeds=3)
    assert [row[-1] for row in more.tables[0].rows] == [3] * 6
    assert more.comparisons[PAIR].result("dkd").last[0] == torn.comparisons[PAIR].result("dkd").last[0]


def test_a_study_that_is_not_there_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="no study 'term'; nearest: terms"):
        find_study("term")


@pytest.mark.parametrize("name", ["decant.studies.keep", "decant.studies.claims", "decant.report.findings_page"])
def test_the_examples_of_the_docstrings_are_true(name: str) -> None:
    tried = doctest.testmod(importlib.import_module(name))
    assert tried.attempted > 0
    assert tried.failed == 0
