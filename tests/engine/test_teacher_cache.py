"""Runs whose teacher works once: what they compute is what they always computed, whatever the table holds before."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from decant.engine import tabled_teacher, train
from decant.engine.compare import compare
from decant.engine.distill_step import DistillStep
from decant.engine.environment import describe_environment
from decant.engine.fill_table import fill_table
from decant.engine.parallel import Parallel
from decant.engine.teacher import Teacher
from decant.engine.teacher_table import TeacherTable
from decant.interfaces import Batch, BuildContext, Method, MethodSettings, Outputs
from decant.methods import ComposedSettings, CRLDSettings, CTKDSettings, DKDSettings, KDSettings, SupervisedSettings
from decant.recipe import Recipe, recipe_from_dict, recipe_to_dict
from engine.tiny import (
    DATA,
    Heard,
    InterruptAfter,
    LostMachineError,
    contents,
    places,
    recipe,
    rows_of,
    untrained_teacher,
    weights_of,
)

VIEWS: dict[str, Any] = {"teacher_cache": "views"}


def run(of: Recipe, folder: Path, name: str, **more: Any) -> Path:
    """A finished run; the tables are those of ``folder``."""
    train(of, folder / name, places(folder), **{"teacher": untrained_teacher(), **more})
    return folder / name


def confident_teacher() -> Teacher:
    """One whose logits differ by several units, as a trained one's do."""
    teacher = untrained_teacher()
    with torch.no_grad():
        teacher.network.get_submodule("classifier").get_parameter("weight").mul_(30)
    return teacher


def results(folder: Path) -> list[dict[str, Any]]:
    """The lines of the log without what depends on who filled the table."""
    return [{key: value for key, value in row.items() if key != "teacher_hits"} for row in rows_of(folder)]


def hits(folder: Path) -> list[float]:
    return [row["teacher_hits"] for row in rows_of(folder)]


def tables(folder: Path) -> list[Path]:
    return sorted((folder / "teachers" / "views").glob("*"))


def assert_same_run(one: Path, other: Path) -> None:
    left, right = weights_of(one), weights_of(other)
    assert left.keys() == right.keys()
    assert all(torch.equal(left[key], right[key]) for key in left)
    assert results(one) == results(other)


@pytest.fixture
def batches_seen(monkeypatch: pytest.MonkeyPatch) -> list[Batch]:
    """Every batch of training, in order, from now on."""
    seen: list[Batch] = []
    step = DistillStep.__call__

    def watched(self: DistillStep, batch: Batch) -> tuple[tuple[Tensor, ...], Mapping[str, Tensor]]:
        seen.append(batch)
        return step(self, batch)

    monkeypatch.setattr(DistillStep, "__call__", watched)
    return seen


@pytest.mark.parametrize(("kind", "tolerance"), [("fp32", 1e-4), ("fp16", 5e-2)])
def test_200_steps_from_the_table_and_live_stay_together(
    tmp_path: Path, kind: str, tolerance: float, batches_seen: list[Batch]
) -> None:
    """Every epoch's loss and terms, relative: rounding of the teacher's logits, grown over 200 steps of SGD."""
    settings: dict[str, Any] = {"epochs": 50, "learning_rate": 0.02}
    method = DKDSettings(beta=2.0, warmup=0)
    teacher = confident_teacher()
    live = results(run(recipe(method, **settings), tmp_path, "live", teacher=teacher))
    kept = run(recipe(method, **settings, **VIEWS, teacher_cache_type=kind), tmp_path, "kept", teacher=teacher)
    assert live[-1]["train_loss"] < 0.8 * live[0]["train_loss"], "nothing was learned, so nothing was compared"
    for left, right in zip(live, results(kept), strict=True):
        assert right["train_loss"] == pytest.approx(left["train_loss"], rel=tolerance)
        assert right["terms"] == pytest.approx(left["terms"], rel=tolerance)
    assert (results(kept) != live) or kind == "fp32", "rounding leaves a trace"
    assert len(batches_seen) == 400
    for one, other in zip(batches_seen[:200], batches_seen[200:], strict=True):
        assert torch.equal(one.index, other.index)
        assert torch.equal(one.view_ids[0], other.view_ids[0])
        assert torch.equal(one.images[0], other.images[0])
    assert hits(kept)[0] == 0
    assert hits(kept)[-1] > 0.9, "18 views of each image, 50 epochs"


@pytest.mark.parametrize(
    "settings",
    [{}, {"teacher_cache_type": "fp32"}, {"ema": 0.9, "precision": "bf16"}, {"teacher_cache_top": 3}],
)
def test_a_cold_table_and_a_warm_one_make_the_same_run(tmp_path: Path, settings: dict[str, Any]) -> None:
    planned = recipe(DKDSettings(), **VIEWS, **settings)
    cold = run(planned, tmp_path, "cold")
    assert hits(cold)[0] == 0
    half_warm = run(replace(planned, seed=1), tmp_path, "other seed")
    warm = run(planned, tmp_path, "warm")
    assert hits(warm) == [1, 1, 1]
    assert_same_run(cold, warm)
    assert results(half_warm) != results(warm)
    fresh = tmp_path / "fresh"
    run(replace(planned, seed=1), fresh, "other seed")
    assert 0 < hits(run(planned, fresh, "mixed"))[0] < 1
    assert_same_run(cold, fresh / "mixed")
    assert len(tables(tmp_path)) == 1


def test_hits_are_counted_as_the_forecast_says(tmp_path: Path) -> None:
    heard = Heard()
    folder = run(recipe(DKDSettings(), **VIEWS), tmp_path, "run", reporter=heard)
    (where,) = tables(tmp_path)
    missed = round(sum(64 * (1 - share) for share in hits(folder)))
    assert 64 < missed < 192
    (announced,) = [line for line in heard.lines if line.startswith("  teacher: ")]
    expected = f"  teacher: {1 - missed / 192:.1%} of 192 rows from the table {where} (18.6 kB, 0.0% filled), {missed} "
    assert announced.startswith(expected)
    assert any(line == f"teacher table: {where / 'logits.bin'}, 18.6 kB once it is full" for line in heard.lines)
    assert json.loads((where / "table.json").read_text())["sha256"] == "c0ffee"


@pytest.mark.parametrize("batches", [2, 6, 11])
@pytest.mark.parametrize("lost", [False, True], ids=["kept", "lost"])
def test_a_run_that_goes_on_is_the_undisturbed_one_with_its_table_or_without(
    tmp_path: Path, batches: int, lost: bool
) -> None:
    planned = recipe(DKDSettings(warmup=2), **VIEWS)
    whole = run(planned, tmp_path / "undisturbed", "run")
    with pytest.raises(LostMachineError):
        run(planned, tmp_path, "run", reporter=InterruptAfter(batches))
    if lost:
        shutil.rmtree(tables(tmp_path)[0])
    assert_same_run(run(planned, tmp_path, "run"), whole)


def test_a_table_that_was_filled_elsewhere_is_told_of(tmp_path: Path) -> None:
    planned = recipe(DKDSettings(), **VIEWS)
    run(planned, tmp_path, "first")
    heard = Heard()
    run(planned, tmp_path, "second", reporter=heard)
    assert not any("elsewhere" in line for line in heard.lines)
    file = tables(tmp_path)[0] / "environments.json"
    (facts,) = json.loads(file.read_text())
    here = describe_environment(Parallel(device="cpu"))
    assert facts == {"torch": here["packages"]["torch"], "device": here["device"], "threads": here["threads"]}
    file.write_text(json.dumps([{**facts, "torch": "1.0"}]))
    run(planned, tmp_path, "third", reporter=heard)
    said = "  note: entries of the table were worked out elsewhere (torch 1.0, device cpu"
    assert any(line.startswith(said) and "not bit-equal" in line for line in heard.lines)


def test_a_run_that_hardly_meets_a_view_twice_says_so(tmp_path: Path) -> None:
    heard = Heard()
    wide = replace(recipe(DKDSettings(), epochs=1, **VIEWS), data=replace(DATA, padding=7))
    run(wide, tmp_path, "short", reporter=heard)
    assert any(line.startswith("  note: hardly any view comes twice; the table pays for later") for line in heard.lines)
    heard = Heard()
    run(wide, tmp_path, "again", reporter=heard)
    assert not any("hardly any view" in line for line in heard.lines)


def test_without_a_teacher_there_is_no_table(tmp_path: Path) -> None:
    plain = run(recipe(SupervisedSettings()), tmp_path, "plain")
    asked = run(recipe(SupervisedSettings(), **VIEWS), tmp_path, "asked")
    assert results(plain) == results(asked)
    assert "teacher_hits" not in rows_of(asked)[0]
    assert "teacher_hits" not in rows_of(run(recipe(DKDSettings()), tmp_path, "live"))[0]
    assert not (tmp_path / "teachers").exists()


@dataclass(frozen=True)
class PooledSettings:
    name: str = "pooled"

    def build(self, context: BuildContext) -> Method:
        return Pooled()


class Pooled(Method):
    taps = ("pooled",)

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        return {"hard": student.logits.mean()}

    def weights(self, epoch: float) -> dict[str, float]:
        return {"hard": 1.0}


@dataclass(frozen=True)
class UnfitSettings(PooledSettings):
    def build(self, context: BuildContext) -> Method:
        raise ValueError("these networks do not fit")


def test_a_method_that_learns_from_features_is_refused_before_its_teacher_is_trained(tmp_path: Path) -> None:
    planned = recipe(PooledSettings(), **VIEWS)
    message = r"method pooled learns from features \(pooled\); a table of logits does not serve it: train\.teacher_"
    with pytest.raises(ValueError, match=message):
        train(planned, tmp_path / "run", places(tmp_path))
    with pytest.raises(ValueError, match=message):
        compare(planned, ["pooled"], 1, tmp_path / "all", places(tmp_path))
    assert not list(tmp_path.iterdir())
    train(recipe(PooledSettings()), tmp_path / "run", places(tmp_path), teacher=untrained_teacher())


def test_a_method_with_strong_views_is_refused_before_its_teacher_is_trained(tmp_path: Path) -> None:
    planned = recipe(CRLDSettings(), **VIEWS)
    message = r"method crld shows its teacher strong views, .* train\.teacher_cache = \"none\" is for it"
    with pytest.raises(ValueError, match=message):
        train(planned, tmp_path / "run", places(tmp_path))
    with pytest.raises(ValueError, match=message):
        compare(planned, ["crld"], 1, tmp_path / "all", places(tmp_path))
    with pytest.raises(ValueError, match=message):
        fill_table(recipe(CRLDSettings()), places(tmp_path))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("method", "changes", "message"),
    [
        (DKDSettings(), {"teacher_cache_top": 8}, "teacher_cache_top = 8 leaves out none of 8 classes"),
        (
            DKDSettings(),
            {"teacher_cache_top": 3, "teacher_cache_temperature": 2.0},
            r"= 2\.0 is .* but method\.temperature = 4\.0; make",
        ),
        (
            ComposedSettings((DKDSettings(), KDSettings(task_weight=1.0, temperature=8.0))),
            {"teacher_cache_top": 3},
            r"= 4\.0 is .* but method\.1\.temperature = 8\.0; make",
        ),
        (CTKDSettings(), {"teacher_cache_top": 3}, "but ctkd has no temperature that stays the same"),
    ],
)
def test_entries_that_cannot_serve_are_refused_before_the_teacher_is_trained(
    tmp_path: Path, method: MethodSettings, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        train(recipe(method, **VIEWS, **changes), tmp_path / "run", places(tmp_path))
    assert not list(tmp_path.iterdir())


def test_the_largest_logits_have_a_smaller_table_of_their_own_and_teach_nearly_the_same(tmp_path: Path) -> None:
    """TCKD within the rounding of fp16, the whole loss within a tenth: the rest have what they had together."""
    full = recipe(DKDSettings(warmup=0), **VIEWS)
    teacher = confident_teacher()
    every = run(full, tmp_path, "every", teacher=teacher)
    few = run(replace(full, train=replace(full.train, teacher_cache_top=5)), tmp_path, "few", teacher=teacher)
    assert len(tables(tmp_path)) == 2
    one, other = (rows_of(folder)[0] for folder in (every, few))
    assert other["terms"]["nckd"] != one["terms"]["nckd"]
    assert other["terms"]["tckd"] == pytest.approx(one["terms"]["tckd"], rel=0.05)
    assert other["train_loss"] == pytest.approx(one["train_loss"], rel=0.1)
    (left,) = [table for table in tables(tmp_path) if "top" in json.loads((table / "table.json").read_text())]
    assert (left / "logits.bin").stat().st_size == 64 * 18 * (5 * (2 + 2) + 4)


def test_what_an_untrained_teacher_shows_is_said_before_the_teacher_is_trained(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="these networks do not fit"):
        train(recipe(UnfitSettings()), tmp_path / "run", places(tmp_path))
    with pytest.raises(ValueError, match="supervised runs no teacher"):
        fill_table(recipe(SupervisedSettings()), places(tmp_path))
    assert not list(tmp_path.iterdir())


def test_a_disk_that_fills_up_stops_the_run_and_harms_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = recipe(DKDSettings(), **VIEWS)
    whole = run(planned, tmp_path / "undisturbed", "run")
    put, times = TeacherTable.put, iter(range(100))

    def full(self: TeacherTable, entries: Tensor, logits: Tensor, target: Tensor) -> None:
        if next(times) == 1:
            raise OSError("logits.bin cannot be written: No space left on device")
        put(self, entries, logits, target)

    monkeypatch.setattr(tabled_teacher, "ROWS", 48)
    fresh = run(planned, tmp_path / "small passes", "run")
    monkeypatch.setattr(TeacherTable, "put", full)
    with pytest.raises(OSError, match="No space left on device"):
        run(planned, tmp_path, "run")
    monkeypatch.setattr(TeacherTable, "put", put)
    assert_same_run(run(planned, tmp_path, "run"), fresh)
    assert results(whole)[0]["train_loss"] == pytest.approx(results(fresh)[0]["train_loss"], rel=1e-3)


def test_a_recipe_from_before_there_were_tables_is_what_it_was() -> None:
    values = recipe_to_dict(recipe(DKDSettings()))
    old = json.loads(json.dumps(values))
    for kind in (old, old["teacher"]["recipe"]):
        del kind["train"]["teacher_cache"], kind["train"]["teacher_cache_type"]
    assert recipe_from_dict(old).trained == recipe(DKDSettings()).trained
    assert recipe_from_dict(old).trained != recipe(DKDSettings(), **VIEWS).trained


def test_methods_of_one_seed_share_the_teacher_s_work_in_a_comparison(tmp_path: Path) -> None:
    heard = Heard()
    names = ["supervised", "kd", "dkd"]
    compare(recipe(DKDSettings(), **VIEWS), names, 2, tmp_path / "all", places(tmp_path), reporter=heard)
    (where,) = tables(tmp_path)
    for seed in (0, 1):
        first, second = (hits(tmp_path / "all" / name / f"seed-{seed}") for name in ("kd", "dkd"))
        assert first[0] < 1
        assert second == [1, 1, 1]
    missed = sum(64 * (1 - share) for seed in (0, 1) for share in hits(tmp_path / "all" / "kd" / f"seed-{seed}"))
    assert f"teacher: {round(missed)} rows worked out once for all runs, kept in {where}" in heard.lines
    live = compare(recipe(DKDSettings()), names, 2, tmp_path / "live", places(tmp_path))
    assert live.notes == ()


def test_seeds_that_share_their_views_share_all_of_the_teacher_s_work(tmp_path: Path) -> None:
    shared = recipe(DKDSettings(), **VIEWS)
    shared = replace(shared, data=replace(DATA, view_seed=0))
    comparison = compare(shared, ["dkd"], 3, tmp_path / "all", places(tmp_path))
    assert [hits(tmp_path / "all" / "dkd" / f"seed-{seed}") == [1, 1, 1] for seed in range(3)] == [False, True, True]
    (note,) = comparison.notes
    assert note.startswith("All seeds had the same crops and flips (data.view_seed 0)")


def test_runs_that_finished_before_a_setting_was_known_are_compared_with_new_ones(tmp_path: Path) -> None:
    planned = recipe(KDSettings())
    first = compare(planned, ["supervised", "kd"], 1, tmp_path / "all", places(tmp_path))
    for file in (tmp_path / "all").glob("*/seed-0/recipe.json"):
        values = json.loads(file.read_text())
        del values["train"]["teacher_cache"], values["train"]["teacher_cache_type"]
        file.write_text(json.dumps(values))
    before = contents(tmp_path / "all" / "kd")
    second = compare(planned, ["supervised", "kd", "dkd"], 1, tmp_path / "all", places(tmp_path))
    assert second.result("kd") == first.result("kd")
    assert contents(tmp_path / "all" / "kd") == before
