"""A search of settings: on validation images alone, on equal terms, kept, and gone on with."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from command_line import Run
from decant.engine.plan import Plan
from decant.engine.record import held_alone, kept_recipe
from decant.engine.search import SPACES, Range
from decant.engine.tune import Tuned, tune
from decant.engine.tuning_findings import tuning_findings
from decant.evidence import read_run
from decant.methods import DKDSettings, KDSettings
from decant.recipe import Recipe, TeacherSettings, load_recipe, recipe_to_dict
from engine.tiny import DATA, TEACHER, Heard, InterruptAfter, LostMachineError, contents, places, recipe, rows_of

pytest.importorskip("optuna", reason="needs the extra [tune]")
HELD_OUT = replace(DATA, validation=0.25)


def validated(epochs: int = 4) -> Recipe:
    taught = replace(TEACHER, data=HELD_OUT)
    made = recipe(DKDSettings(beta=2.0, warmup=0), epochs=epochs)
    return replace(made, data=HELD_OUT, teacher=TeacherSettings(recipe=taught))


def search(out: Path, trials: int, reporter: Heard | None = None, *, seeds: int = 1, control: bool = True) -> Tuned:
    where, reporter = places(out.parent), reporter or Heard()
    return tune(validated(), out, where, trials=trials, epochs=1, seeds=seeds, control=control, reporter=reporter)


def test_the_method_and_its_control_are_searched_alike(tmp_path: Path) -> None:
    found = search(tmp_path / "out", 4)
    assert [(each.name, len(each.trials)) for each in found.searches] == [("dkd", 4), ("kd-matched", 4)]
    dkd, control = found.searches
    assert dkd.trials[0][0] == {"alpha": 1.0, "beta": 2.0, "temperature": 4.0}, "the recipe's own come first"
    assert control.trials[0][0] == {"weight": 2.0}
    assert len({tuple(values.items()) for values, _ in dkd.trials}) == 4
    runs = [read_run(path.parent) for path in (tmp_path / "out" / "trials").rglob("summary.json")]
    assert len(runs) == 8
    for run in runs:
        assert (run.split, run.seed, run.epochs) == ("validation", 1000, 1)
    by_score = {round(run.last_score, 6) for run in runs}
    assert {round(score, 6) for each in found.searches for _, score in each.trials} == by_score
    method, matched = found.recipe.method, found.recipe.compare.methods["kd-matched"]
    assert isinstance(method, DKDSettings)
    assert isinstance(matched, KDSettings)
    assert dict(dkd.best) == {"alpha": method.alpha, "beta": method.beta, "temperature": method.temperature}
    assert max(score for _, score in dkd.trials) == next(s for values, s in dkd.trials if values == dkd.best)
    assert (matched.temperature, matched.weight) == (method.temperature, control.best["weight"])
    grids = {name: len(next(iter(grid.values()))) for name, grid in found.recipe.compare.tune.items()}
    assert grids == {"dkd": 3, "kd-matched": 3}
    plan = Plan(found.recipe, ["supervised", "kd-matched", "dkd"], 3, tmp_path / "compared")
    assert plan.tuned.keys() == {"dkd", "kd-matched"}, "a comparison of the best takes them for method and control"
    kept = load_recipe(tmp_path / "out" / "best.json")
    assert kept == found.recipe
    assert kept.train.epochs == 4


def test_an_interrupted_search_goes_on_and_draws_nothing_twice(tmp_path: Path) -> None:
    search(tmp_path / "warm", 1, control=False)  # the teacher is there
    with pytest.raises(LostMachineError):
        search(tmp_path / "out", 3, InterruptAfter(5), control=False)
    first = {path.parent.name: path.read_bytes() for path in (tmp_path / "out" / "trials").rglob("summary.json")}
    assert len(first) == 1
    heard = Heard()
    found = search(tmp_path / "out", 3, heard, control=False)
    (search_of_dkd,) = found.searches
    assert len(search_of_dkd.trials) == 3
    assert len({tuple(values.items()) for values, _ in search_of_dkd.trials}) == 3
    assert len(list((tmp_path / "out" / "trials" / "dkd").iterdir())) == 3, "the interrupted trial was taken up"
    for name, summary in first.items():
        assert (tmp_path / "out" / "trials" / "dkd" / name / "summary.json").read_bytes() == summary
    again = contents(tmp_path / "out" / "trials")
    more = search(tmp_path / "out", 5, control=False).searches[0]
    assert more.trials[:3] == search_of_dkd.trials
    assert len(more.trials) == 5
    assert again.items() <= contents(tmp_path / "out" / "trials").items()


def test_several_seeds_are_averaged(tmp_path: Path) -> None:
    found = search(tmp_path / "out", 1, control=False, seeds=2)
    tops = [rows_of(path.parent)[-1]["top1"] for path in (tmp_path / "out" / "trials").rglob("summary.json")]
    assert found.seeds == (1000, 1001)
    assert len(tops) == 2
    assert found.searches[0].trials[0][1] == pytest.approx(sum(tops) / 2)


def test_what_cannot_be_searched_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    where = places(tmp_path)
    with pytest.raises(ValueError, match="needs images that nothing is trained on"):
        tune(recipe(DKDSettings(warmup=0)), tmp_path / "out", where)
    alone = replace(validated(), teacher=None)
    with pytest.raises(ValueError, match="the recipe has no teacher"):
        tune(alone, tmp_path / "out", where)
    with pytest.raises(ValueError, match="epochs 1 to 4; got 20, 1 and 5"):
        tune(validated(), tmp_path / "out", where, epochs=5)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    with pytest.raises(FileExistsError, match=r"holds files but no search \(thesis.tex\)"):
        tune(validated(), tmp_path / "mine", where)


def test_another_budget_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    search(tmp_path / "out", 1, control=False)
    with pytest.raises(FileExistsError, match=r"trial.epochs: there 1, here 2"):
        tune(validated(), tmp_path / "out", places(tmp_path), trials=1, epochs=2)
    with pytest.raises(FileExistsError, match="seed"):
        tune(replace(validated(), seed=4), tmp_path / "out", places(tmp_path), trials=1, epochs=1)
    assert recipe_to_dict(kept_recipe(tmp_path / "out" / "tuned.json", validated())) == recipe_to_dict(validated())


def test_a_folder_belongs_to_one_process(tmp_path: Path) -> None:
    with held_alone(tmp_path / "out"), pytest.raises(FileExistsError, match="another process is at work"):
        search(tmp_path / "out", 1)


def test_the_findings_hold_every_trial_and_what_mattered(tmp_path: Path) -> None:
    found = search(tmp_path / "out", 6, control=False)
    findings = tuning_findings(found)
    trials, mattered = findings.tables
    scores = [float(str(row[-1])) for row in trials.rows]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 6
    shares = [float(str(row[-1])) for row in mattered.rows]
    assert sum(shares) == pytest.approx(1)
    assert [panel.title.partition(",")[0] for panel in findings.panels] == [
        "dkd: alpha",
        "dkd: beta",
        "dkd: temperature",
    ]


def test_the_command(decant: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.json").write_text(json.dumps(recipe_to_dict(validated())))
    arguments = ("tune", "mine.json", "--out", "out", "--trials", "2", "--epochs", "1", "--device", "cpu")
    code, out, err = decant(*arguments, "--range", "beta=0.5..8")
    assert (code, err) == (0, "")
    assert "dkd: beta " in out
    assert "kd-matched: weight " in out
    page = Path("out/README.md").read_text()
    assert "decant tune mine.json --trials 2 --epochs 1 --seeds 1 --range beta=0.5..8" in page
    assert "dkd: all trials, the best first" in page
    assert Path("out/figure.png").is_file()
    assert load_recipe(Path("out/best.json")).compare.tune.keys() == {"dkd", "kd-matched"}
    code, _, err = decant(*arguments, "--range", "beta=8")
    assert code == 2
    assert "expected LOW..HIGH" in err


def test_a_range_is_searched_where_it_lies(tmp_path: Path) -> None:
    found = tune(
        validated(),
        tmp_path / "out",
        places(tmp_path),
        trials=4,
        epochs=1,
        ranges={"beta": Range(3.0, 4.0)},
        control=False,
    )
    assert all(3.0 <= values["beta"] <= 4.0 for values, _ in found.searches[0].trials[1:])
    assert isinstance(found.recipe.method, DKDSettings)
    assert found.recipe.method.alpha == 1.0


def test_a_search_starts_from_a_recipe_that_leaves_a_term_out(tmp_path: Path) -> None:
    """Ranges are logarithmic and hold no 0: such a setting is drawn, and the others are the recipe's own."""
    without = replace(validated(), method=DKDSettings(alpha=0.0, beta=2.0, warmup=0))
    (dkd,) = tune(without, tmp_path / "out", places(tmp_path), trials=2, epochs=1, control=False).searches
    first, second = (values for values, _ in dkd.trials)
    low, high = SPACES["dkd"]["alpha"].low, SPACES["dkd"]["alpha"].high
    assert {name: first[name] for name in ("beta", "temperature")} == {"beta": 2.0, "temperature": 4.0}
    assert low <= first["alpha"] <= high
    assert first != second
