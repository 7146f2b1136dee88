from pathlib import Path

import pytest

from decant.data import load
from decant.data.probe_sets import load_probe_set
from decant.engine import Places
from decant.engine.linear_probe import linear_probe
from decant.engine.predictions import predict, student_of
from decant.evidence import MeanStd
from decant.studies import SIZES, STUDIES, run_study
from engine.tiny import on_cpu
from studies.small import PAIR, RECIPE, study


def test_the_probe_s_numbers_are_those_of_the_frozen_students(ground: Path) -> None:
    found = study("transfer", ground)
    rows = {row[1]: row for row in found.tables[0].rows}
    assert list(rows) == ["teacher", "supervised", "kd-matched", "dkd"]
    known = load(RECIPE.data).train
    sets = load_probe_set("fake", None, like=known)
    assert len(sets[0].classes) != len(known.classes), "other classes than it was trained on"
    scores = []
    for seed in range(2):
        student = student_of(ground / "all" / "runs" / PAIR / "dkd" / f"seed-{seed}", known)
        train, test = (predict(student, images, "cpu", tap="pooled") for images in sets)
        scores.append(linear_probe(train, test, seed=seed, parallel=on_cpu()))
    cell = rows["dkd"][2]
    assert isinstance(cell, MeanStd)
    assert cell.mean == pytest.approx(sum(scores) / 2)
    assert cell.mean > 100 / 6 + 10, "its features are worth more than guessing"
    assert any(caveat.startswith("Protocol of the probe: ") for caveat in found.caveats)


def test_nothing_is_trained_where_there_is_nothing_to_transfer_to(tmp_path: Path) -> None:
    places = Places(teachers=tmp_path / "teachers", data=tmp_path, device="cpu")
    with pytest.raises(FileNotFoundError, match="has neither tiny-imagenet-200 nor stl10_binary"):
        run_study("transfer", STUDIES["transfer"], SIZES["quick"](), tmp_path / "all", places)
    assert not list(tmp_path.iterdir())
