from pathlib import Path

from decant.studies.suppression import NAMES
from studies.small import PAIR, study


def test_the_variants_differ_in_nothing_else_and_are_tuned_on_equal_terms(ground: Path) -> None:
    found = study("suppression", ground)
    comparison = found.comparisons[PAIR]
    variants = {name: comparison.result(name) for name in NAMES[1:]}
    told = {name: (result.settings["suppress"], result.settings["samples"]) for name, result in variants.items()}
    assert told == {
        "nckd": (False, "all"),
        "nckd-suppressed": (True, "all"),
        "nckd-confident": (False, "confident"),
        "nckd-unsure": (False, "unsure"),
    }
    free = {"suppress", "samples", "weight"}
    rest = [{key: value for key, value in result.settings.items() if key not in free} for result in variants.values()]
    assert all(settings == rest[0] for settings in rest)
    for result in variants.values():
        assert result.tuning is not None
        assert set(result.tuning.candidates) == {1.0, 4.0}


def test_the_table_holds_the_suppressed_against_the_whole(ground: Path) -> None:
    found = study("suppression", ground)
    rows = {row[0]: row for row in found.tables[0].rows}
    assert rows["nckd-suppressed"][4] == found.comparisons[PAIR].difference("nckd-suppressed", "nckd")
    assert rows["nckd"][4] is None
