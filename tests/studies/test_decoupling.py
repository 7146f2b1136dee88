from pathlib import Path

import pytest
import torch

from decant.data import load
from decant.engine.predictions import predict, student_of
from decant.evidence import Interval, mean_interval
from decant.recipe import MultiStep, TeacherSettings
from decant.studies import SIZES, STUDIES
from decant.studies.decoupling import lasting
from decant.studies.sizes import teacher_of
from studies.small import PAIR, RECIPE, last_score, study


def test_how_sure_the_teacher_is_is_measured_and_both_are_tuned_on_equal_terms(ground: Path) -> None:
    found = study("decoupling", ground)
    rows = {(row[0], row[1]): row for row in found.tables[0].rows}
    assert rows.keys() == {(1, "1"), (1, "8"), (3, "1"), (3, "8")}
    for (epochs, temperature), row in rows.items():
        trial = f"{PAIR}-teacher-{epochs}-T{temperature}"
        comparison = found.comparisons[trial]
        for result in comparison.results:
            assert result.tuning is not None
            assert set(result.tuning.candidates) == {1.0, 16.0}
            assert result.settings["temperature"] == float(str(temperature))
        (kept,) = [
            folder
            for folder in (ground / "teachers").glob("digits_teacher-*")
            if f'"epochs": {epochs},' in (folder / "recipe.json").read_text()
            and '"label_noise": 0.0' in (folder / "recipe.json").read_text()
            and '"all_strong": false' in (folder / "recipe.json").read_text()
        ]
        images = load(RECIPE.data).train
        said = predict(student_of(kept, images), images, "cpu")
        p_t = (said.logits / float(str(temperature))).softmax(1)[torch.arange(images.size), images.target].mean()
        assert row[3] == pytest.approx(p_t.item(), rel=1e-5)
        assert row[8] == comparison.difference("dkd", "kd-matched")
    sureness = [float(str(row[3])) for row in found.tables[0].rows]
    assert sureness == sorted(sureness)
    assert max(sureness) > min(sureness)


def test_the_slope_is_over_all_cases_with_a_value_per_seed(ground: Path) -> None:
    found = study("decoupling", ground, seeds=3)
    points = {}
    for row in found.tables[0].rows:
        trial = f"{PAIR}-teacher-{row[0]}-T{row[1]}"
        dkd, control = (last_score(ground, trial, name, seeds=3) for name in ("dkd", "kd-matched"))
        points[row[3]] = {seed: dkd[seed] - control[seed] for seed in dkd}
    x = torch.tensor(list(points), dtype=torch.float64) / 0.1
    slopes = []
    for seed in range(3):
        y = torch.tensor([each[seed] for each in points.values()], dtype=torch.float64)
        slopes.append((((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()).item())
    expected = mean_interval(slopes)
    (sentence,) = [line for line in (*found.shown, *found.not_shown) if line.startswith("slope of dkd - kd-matched")]
    assert f"{expected.mean:+.2f} [" in sentence
    assert isinstance(expected, Interval)
    assert (sentence in found.shown) == (not (expected.low or 0) <= 0 <= (expected.high or 0))


def test_the_paper_s_size_holds_out_images_of_teacher_and_student() -> None:
    for trial in STUDIES["decoupling"].trials(SIZES["paper"]()).values():
        teacher = teacher_of(trial.recipe)
        assert trial.recipe.data.validation == teacher.data.validation == 0.1
        assert trial.recipe.compare.tune.keys() == {"dkd", "kd-matched"}


def test_a_shorter_training_moves_its_milestones() -> None:
    teacher = teacher_of(SIZES["paper"]().recipe)
    short = lasting(teacher, 0.125)
    assert short.train.epochs == 30
    assert short.train.schedule == MultiStep(milestones=(19, 22, 26), factor=0.1)
    assert lasting(teacher, 1.0) == teacher
    assert TeacherSettings(recipe=short).network == "resnet32x4"
