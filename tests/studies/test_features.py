from pathlib import Path

import numpy as np
import pytest

from decant.data import load
from decant.engine.predictions import predict, student_of
from decant.evidence import Heatmap, MeanStd, Panel
from decant.evidence.calibration import reliability
from studies.small import PAIR, RECIPE, study


def test_the_numbers_are_those_of_the_trained_networks(ground: Path) -> None:
    found = study("features", ground)
    rows = {row[0]: row for row in found.tables[0].rows}
    assert list(rows) == ["teacher", "supervised", "kd-matched", "dkd"]
    assert rows["teacher"][3] == 0, "it agrees with itself"
    images = load(RECIPE.data).test
    errors = []
    for seed in range(2):
        said = predict(student_of(ground / "all" / "runs" / PAIR / "dkd" / f"seed-{seed}", images), images, "cpu")
        confidence, choice = said.logits.double().softmax(1).max(1)
        errors.append(100 * reliability(confidence.numpy(), (choice == said.target).numpy()).error)
    cell = rows["dkd"][1]
    assert isinstance(cell, MeanStd)
    assert cell.mean == pytest.approx(np.mean(errors))
    difference = rows["dkd"][3]
    assert isinstance(difference, MeanStd)
    assert difference.mean > 0


def test_every_image_of_the_map_has_a_place_and_the_matrices_share_a_scale(ground: Path) -> None:
    found = study("features", ground)
    panels = [panel for panel in found.panels if isinstance(panel, Panel)]
    matrices = [panel for panel in found.panels if isinstance(panel, Heatmap)]
    assert [panel.title.rpartition(": ")[2] for panel in panels[:4]] == ["teacher", "supervised", "kd-matched", "dkd"]
    images = load(RECIPE.data).test
    for panel in panels[:4]:
        assert sum(len(series.x) for series in panel.series) == images.size
    assert len({matrix.highest for matrix in matrices}) == 1
    assert max(max(row) for matrix in matrices for row in matrix.values) == matrices[0].highest
    assert all(len(matrix.values) == 8 for matrix in matrices)


def test_another_teacher_s_numbers_are_not_taken_for_this_one_s(ground: Path) -> None:
    study("features", ground)
    kept = (ground / "all" / "features" / "measured.json").read_text()
    sha = study("features", ground).comparisons[PAIR].teachers[0]["sha256"]
    assert kept.count(f"beside teacher {sha}") == 6
