from pathlib import Path

import pytest

from decant.engine.method_facts import Pair
from decant.studies import SIZES, STUDIES
from studies.small import PAIR, study

TRIAL = f"{PAIR}-every-method"


def test_accuracy_stands_beside_what_was_measured(ground: Path) -> None:
    found = study("efficiency", ground)
    comparison = found.comparisons[TRIAL]
    rows = {str(row[0]): row for row in found.tables[0].rows}
    assert list(rows) == ["supervised", "kd", "dkd", "fitnet", "crld"]
    facts = {facts.name: facts for facts in Pair("digits_teacher", "digits_student").facts()}
    for name, row in rows.items():
        assert row[1] == comparison.result(name).last_score
        assert (row[4], row[6]) == (facts[name].parameters, facts[name].views)
        assert isinstance(row[3], float)
        assert row[3] > 0
    assert (rows["supervised"][3], rows["supervised"][5]) == (1.0, 1.0)
    memory = {name: row[5] for name, row in rows.items()}
    assert isinstance(memory["crld"], float)
    assert memory["crld"] > 1.5, "two views keep more than one"
    assert isinstance(memory["fitnet"], float)
    assert memory["fitnet"] > 1
    time, _ = found.panels
    assert found.to_json()["panels"][0]["series"][0]["labels"] == tuple(rows)
    assert time.title == "accuracy by time"


def test_costs_are_measured_once(ground: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = study("efficiency", ground)

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(Pair, "measured_facts", forbidden)
    assert study("efficiency", ground).tables == first.tables


def test_at_the_paper_s_size_methods_have_their_published_settings() -> None:
    ((name, trial),) = STUDIES["efficiency"].trials(SIZES["paper"]()).items()
    assert name == "resnet32x4-resnet8x4-every-method"
    assert trial.recipe.compare.tune == {}
    assert vars(trial.recipe.compare.methods["fitnet"])["weight"] == 100.0
