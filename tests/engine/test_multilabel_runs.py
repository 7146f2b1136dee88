"""Runs on pictures with any number of classes: trained, resumed, judged by scikit-learn's measures, or refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from command_line import Run
from data.made_pictures import folder
from decant.data import DataSettings, PictureSettings, load_pictures
from decant.engine import Places, load_student, train
from decant.engine.judge import evaluate_run
from decant.engine.multilabel_score import MultilabelScore, score_multilabel
from decant.methods import BernoulliDKDSettings, BernoulliSettings, ComposedSettings, DKDSettings, SupervisedSettings
from decant.recipe import NetworkSettings, Recipe, TeacherSettings, TrainSettings, recipe_from_dict, recipe_to_dict
from decant.report.model_card import model_card
from engine.multilabel_pictures import CLASSES, lit_pictures
from engine.tiny import Heard, InterruptAfter, LostMachineError, rows_of, weights_of

DATA = DataSettings(name="pictures", flip=False, pictures=PictureSettings(size=8, scale=(0.8, 1.0), test=0.25))
TRAIN = TrainSettings(epochs=3, batch_size=8, learning_rate=0.05)
TEACHER = Recipe(
    student=NetworkSettings("digits_teacher"), data=DATA, method=BernoulliSettings(), train=TRAIN, task="multilabel"
)
RECIPE = Recipe(
    student=NetworkSettings("digits_student"),
    data=DATA,
    teacher=TeacherSettings(recipe=TEACHER),
    method=BernoulliDKDSettings(alpha=2.0),
    train=TRAIN,
    task="multilabel",
)


def places(tmp_path: Path, table: Path) -> Places:
    return Places(tmp_path / "teachers", table, "cpu")


def test_a_table_of_several_labels(tmp_path: Path) -> None:
    table, said = lit_pictures(tmp_path / "lit"), list[str]()
    splits = load_pictures(DATA, table, several=True, say=said.append)
    assert splits.train.classes == CLASSES
    assert splits.train.size + splits.test.size == 48
    assert splits.train.target.shape == (splits.train.size, 3)
    for row in range(splits.train.size):
        place = int(splits.train.path(row).stem)
        assert splits.train.target[row].tolist() == [float(place >> bit & 1) for bit in range(3)]
    assert bool((splits.test.target.sum(1) == 0).any()), "a picture without any class is one, too"
    assert any(line.startswith(f"{table}: 3 classes") for line in said)


def test_what_is_no_such_table_is_refused(tmp_path: Path) -> None:
    table = lit_pictures(tmp_path / "lit")
    with pytest.raises(ValueError, match=r"give a .csv or .tsv file of path,label\|label2"):
        load_pictures(DATA, folder(tmp_path / "pets", {"cat": 2, "dog": 2}), several=True)
    with pytest.raises(ValueError, match="a path and a label are needed"):
        load_pictures(DATA, table)
    none = tmp_path / "lit" / "none.csv"
    none.write_text("path,label\n0.png,\n1.png,\n")
    with pytest.raises(ValueError, match="expected pictures to train on that have a class, found none"):
        load_pictures(DATA, none, several=True)
    none.write_text("path,label,split\n0.png,a,train\n1.png,a|b,test\n")
    with pytest.raises(ValueError, match="have classes that none to train on has: b"):
        load_pictures(DATA, none, several=True)


def test_a_resumed_run_is_the_undisturbed_one(tmp_path: Path) -> None:
    here, heard = places(tmp_path, lit_pictures(tmp_path / "lit")), Heard()
    train(RECIPE, tmp_path / "whole", here, reporter=heard)
    assert any("mean average precision" in line for line in heard.lines)
    with pytest.raises(LostMachineError):
        train(RECIPE, tmp_path / "broken", here, reporter=InterruptAfter(7))
    summary = train(RECIPE, tmp_path / "broken", here)
    assert rows_of(tmp_path / "whole") == rows_of(tmp_path / "broken")
    first, second = weights_of(tmp_path / "whole"), weights_of(tmp_path / "broken")
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert summary["last"]["terms"].keys() == {"hard", "positives", "negatives"}
    left = evaluate_run(tmp_path / "whole", here)
    judged = left.measured
    assert isinstance(judged, MultilabelScore)
    with pytest.raises(TypeError, match="see measured"):
        _ = left.score
    assert judged.to_dict() == pytest.approx({key: summary["last"][key] for key in judged.to_dict()})


def test_it_learns(tmp_path: Path) -> None:
    here = places(tmp_path, lit_pictures(tmp_path / "lit"))
    summary = train(replace(TEACHER, train=replace(TRAIN, epochs=25)), tmp_path / "run", here)
    rows = rows_of(tmp_path / "run")
    assert summary["last"]["map"] > 90
    assert rows[-1]["loss"] < 0.5 * rows[0]["loss"]


def test_the_scores_are_those_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(40, 6, generator=generator)
    target = (torch.rand(40, 6, generator=generator) < 0.3).float()
    target[:, 4], target[:, 5] = 0, 1
    score = score_multilabel(logits, target)
    has, yes = target.numpy(), (logits > 0).numpy()
    assert score.classes == 4
    assert score.map == pytest.approx(100 * metrics.average_precision_score(has[:, :4], logits[:, :4].numpy()))
    assert score.f1 == pytest.approx(100 * metrics.f1_score(has, yes, average="micro"))
    assert score.exact == pytest.approx(100 * metrics.accuracy_score(has, yes))
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, target)
    assert score.loss == pytest.approx(float(expected), rel=1e-6)
    with pytest.raises(ValueError, match="there is nothing to rank"):
        score_multilabel(logits[:, 4:], target[:, 4:])


def test_one_class_alone(tmp_path: Path) -> None:
    table = lit_pictures(tmp_path / "lit")
    rows = [f"{place}.png,{'left' if place & 1 else ''}" for place in range(48)]
    table.write_text("\n".join(["path,label", *rows]))
    summary = train(TEACHER, tmp_path / "run", places(tmp_path, table))
    assert summary["last"]["classes"] == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"method": DKDSettings()},
            'method dkd is not for task = "multilabel", whose methods are bernoulli, bernoulli_kd',
        ),
        ({"method": ComposedSettings((BernoulliDKDSettings(), DKDSettings()))}, "method dkd is not for"),
        ({"task": "classification"}, 'method bernoulli_dkd is not for task = "classification"'),
        (
            {"teacher": TeacherSettings(recipe=replace(TEACHER, task="classification", method=SupervisedSettings()))},
            'the teacher is trained with task = "classification", the student "multilabel"',
        ),
        ({"data": DataSettings(name="digits"), "teacher": None}, 'is for data.name = "pictures"'),
        ({"data": replace(DATA, hidden_labels=0.5)}, "data.hidden_labels: of one class to a sample alone"),
        ({"train": replace(TRAIN, mixup=0.5)}, "train.mixup, cutmix and label_smoothing: of one class"),
        (
            {"teacher": TeacherSettings(recipe=TEACHER, also=(TeacherSettings(recipe=TEACHER),))},
            "several teachers are averaged over classes that exclude each other",
        ),
    ],
)
def test_what_the_task_does_not_have_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(RECIPE, **change)


def test_a_recipe_of_it_is_read_as_strictly_as_any() -> None:
    assert recipe_from_dict(recipe_to_dict(RECIPE)) == RECIPE
    with pytest.raises(ValueError, match=r"method.alpa: no such setting; did you mean 'alpha'"):
        recipe_from_dict({**recipe_to_dict(RECIPE), "method": {"name": "bernoulli_dkd", "alpa": 1.0}})


def test_the_commands(tmp_path: Path, decant: Run) -> None:
    table = lit_pictures(tmp_path / "lit")
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps(recipe_to_dict(RECIPE)))
    where = ("--data", str(table), "--device", "cpu", "--workers", "0")
    code, out, err = decant(
        "train", str(recipe), "--out", str(tmp_path / "run"), "--teachers", str(tmp_path / "teachers"), *where
    )
    assert code == 0, err
    assert "digits_student: mean average precision" in " ".join(out.split())
    code, out, err = decant("evaluate", str(tmp_path / "run"), *where)
    assert code == 0, err
    assert all(word in out for word in ("average", "precision", "F1"))
    code, out, err = decant(
        "predict", str(tmp_path / "run"), str(tmp_path / "lit" / "7.png"), "--json", "--device", "cpu"
    )
    assert code == 0, err
    (said,) = json.loads(out)["pictures"]
    loaded = load_student(tmp_path / "run")
    logits = loaded.network(loaded.preprocess(tmp_path / "lit" / "7.png")[None])[0]
    expected = logits.sigmoid().sort(descending=True).values.tolist()
    card = model_card(loaded.about, command="decant train")
    assert "mean average precision over 3 classes" in card
    assert "if logit > 0" in card
    assert [each["probability"] for each in said["top"]] == pytest.approx(expected, abs=1e-5)
