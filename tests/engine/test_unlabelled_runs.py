"""Runs with samples that carry no label, in files or hidden, and what their pages say of it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from command_line import Run
from data.made_pictures import folder, save
from decant.data import load
from decant.engine import Places, train
from decant.engine.evaluate import evaluate
from decant.engine.judge import evaluate_run
from decant.engine.supply import Supply
from decant.evidence import read_run
from decant.interfaces import UNLABELLED, MethodSettings
from decant.methods import KD, METHODS, DKDSettings, KDSettings, Supervised, SupervisedSettings
from decant.models import create
from decant.recipe import Recipe
from decant.report.beside_teacher import Onlooker
from engine.tiny import (
    DATA,
    InterruptAfter,
    LostMachineError,
    on_cpu,
    places,
    recipe,
    rows_of,
    splits,
    untrained_teacher,
    weights_of,
)

HIDDEN = replace(DATA, hidden_labels=0.75)


def hiding(method: MethodSettings | None = None, **train: Any) -> Recipe:
    return replace(recipe(method or DKDSettings(warmup=0), **train), data=HIDDEN)


def test_a_run_whose_teacher_agrees_with_the_hidden_labels_teaches_as_with_them(tmp_path: Path) -> None:
    teacher = untrained_teacher()
    whole = splits()
    agreeing = _Knowing(whole.train.images, whole.train.target)
    plain = DKDSettings(task_weight=0.0, warmup=0)
    for name, data in (("shown", DATA), ("hidden", HIDDEN)):
        planned = replace(recipe(plain), data=replace(data, padding=0, flip=False))
        given = replace(teacher, network=agreeing, sha256="knows")
        train(planned, tmp_path / name, places(tmp_path), splits=load(planned.data), teacher=given)
    shown, hidden = rows_of(tmp_path / "shown"), rows_of(tmp_path / "hidden")
    for one, other in zip(shown, hidden, strict=True):
        assert {name: one["terms"][name] for name in ("tckd", "nckd")} == {
            name: other["terms"][name] for name in ("tckd", "nckd")
        }
    first, second = weights_of(tmp_path / "shown"), weights_of(tmp_path / "hidden")
    assert all(torch.equal(first[key], second[key]) for key in first)


class _Knowing(torch.nn.Module):
    """Says the class of every image of a set that it has seen, in logits of its own."""

    def __init__(self, images: torch.Tensor, target: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("means", images.float().flatten(1).mean(1))
        self.register_buffer("target", target)
        self.scale = torch.nn.Parameter(torch.linspace(0, 1, 8), requires_grad=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        means, target = self.get_buffer("means"), self.get_buffer("target")
        settings = splits().train
        pixels = torch.stack(
            [images[:, c] * 255 * settings.std[c] + 255 * settings.mean[c] for c in range(images.shape[1])], 1
        )
        nearest = (pixels.flatten(1).mean(1)[:, None] - means).abs().argmin(1)
        known: torch.Tensor = 5.0 * torch.nn.functional.one_hot(target[nearest], 8) + self.scale
        return known


def test_supervised_meets_labelled_samples_alone_and_as_many_as_the_others() -> None:
    planned = hiding(SupervisedSettings())
    supply = Supply(planned, load(HIDDEN), on_cpu())
    taught = KD(KDSettings())
    alone, all_of_them = (next(supply.orders([1], method)) for method in (Supervised(), taught))
    assert alone.steps == all_of_them.steps
    assert len(alone.index) == len(all_of_them.index) == supply.images.size
    target = supply.images.target
    assert bool((target[alone.index] != UNLABELLED).all())
    assert int((target[all_of_them.index] == UNLABELLED).sum()) == 48


def test_an_interrupted_run_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    for name, planned in (("dkd", hiding()), ("supervised", hiding(SupervisedSettings()))):
        train(planned, tmp_path / name / "whole", places(tmp_path))
        with pytest.raises(LostMachineError):
            train(planned, tmp_path / name / "broken", places(tmp_path), reporter=InterruptAfter(6))
        train(planned, tmp_path / name / "broken", places(tmp_path))
        assert rows_of(tmp_path / name / "whole") == rows_of(tmp_path / name / "broken")
        first, second = (weights_of(tmp_path / name / each) for each in ("whole", "broken"))
        assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("top", [None, 3])
def test_the_table_of_the_teacher_serves_samples_without_a_label(tmp_path: Path, top: int | None) -> None:
    changes: dict[str, Any] = {"teacher_cache": "views", "teacher_cache_type": "fp32", "teacher_cache_top": top}
    summary = train(hiding(**changes), tmp_path / "run", places(tmp_path))
    assert summary["unlabelled"] == {"images": 48, "of": 64}
    again = train(hiding(**changes), tmp_path / "again", places(tmp_path))
    assert again["last"]["terms"] == summary["last"]["terms"]
    assert again["last"]["teacher_hits"] == 1.0


def test_a_teacher_that_knows_the_hidden_labels_is_remarked() -> None:
    planned = hiding()
    assert any("labels that are hidden from its student (data.hidden_labels 0.75" in said for said in planned.remarks)
    assert planned.teacher is not None
    assert planned.teacher.recipe is not None
    alike = replace(planned, teacher=replace(planned.teacher, recipe=replace(planned.teacher.recipe, data=HIDDEN)))
    assert alike.remarks == recipe(DKDSettings(warmup=0)).remarks


def test_crd_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="crd tells every training sample from those of other classes"):
        train(hiding(METHODS["crd"]()), tmp_path / "run", places(tmp_path))
    assert not (tmp_path / "teachers").exists()


def test_a_score_counts_labelled_samples() -> None:
    images = load(HIDDEN).train
    with torch.random.fork_rng():
        network = create("digits_student", num_classes=8, in_channels=3)
    score = evaluate(network, images, on_cpu(), teacher_choice=torch.zeros(64, dtype=torch.int64))
    labelled = images.subset((images.target != UNLABELLED).nonzero()[:, 0], "labelled")
    again = evaluate(network, labelled, on_cpu(), teacher_choice=torch.zeros(16, dtype=torch.int64))
    assert score.samples == 16
    assert score.loss == pytest.approx(again.loss)
    assert (score.top1, score.top5, score.agreement) == (again.top1, again.top5, again.agreement)


def test_distill_with_a_folder_of_unlabelled_pictures(tmp_path: Path, decant: Run) -> None:
    pictures = folder(tmp_path / "pets", {"cat": 12, "dog": 12, "eel": 12})
    for place in range(10):
        save(tmp_path / "more" / f"{place}.png", seed=1000 * (place % 3) + place % 2)
    arguments = f"distill {pictures} --teacher digits_teacher --student digits_student --out {tmp_path / 'out'}"
    arguments += f" --unlabelled {tmp_path / 'more'} --size 8 --epochs 2 --teacher-epochs 2 --seeds 1 --workers 0"
    code, out, err = decant(*arguments.split(), "--device", "cpu", "--anyway", "--set", "train.batch_size=8")
    assert code == 0, err
    assert "10 pictures without a label, beside" in " ".join(out.split())
    runs = tmp_path / "out" / "runs"
    for name in ("supervised", "dkd"):
        summary = json.loads((runs / name / "seed-0" / "summary.json").read_text())
        assert summary["unlabelled"] == {"images": 10, "of": 40}
    (taught,) = (tmp_path / "out" / "teachers").glob("*/summary.json")
    assert "unlabelled" not in json.loads(taught.read_text()), "a teacher learns from labels"
    page = (runs / "README.md").read_text()
    assert "10 of the 40 training images carried no label" in page
    assert "how often that is right is not known (on the test images it is right on" in page
    assert "--unlabelled FOLDER" in page
    assert str(tmp_path) not in page
    judged = evaluate_run(runs / "dkd" / "seed-0", Places(tmp_path / "teachers", pictures, "cpu"))
    assert judged.score.samples == 6, "what is judged needs no folder of others"
    run = runs / "dkd" / "seed-0"
    found = Onlooker(Places(tmp_path / "out" / "teachers", pictures, "cpu")).look(read_run(run), read_run(run))
    assert sum(one.images for one in found.classes) == 6
    code, _, err = decant("export", str(run), "--format", "torch-export", "--data", str(pictures), "--count", "4")
    assert (code, err) == (0, "")
    assert json.loads((run / "student.pt2.json").read_text())["agreement"]["pictures"] == 4


def test_a_folder_that_no_recipe_asks_for_is_refused(tmp_path: Path, decant: Run) -> None:
    for command in ("train", "compare", "tune"):
        code, _, err = decant(command, "demo", "--unlabelled", str(tmp_path), "--out", str(tmp_path / "o"))
        assert code == 2
        assert "add --set data.unlabelled=true" in " ".join(err.split())
