import json
from pathlib import Path

from decant.evidence import paired_interval, read_run
from decant.studies import STUDIES
from decant.studies.sizes import SIZES
from studies.small import PAIR, last_score, study


def test_each_half_is_dkd_without_the_other_and_tuned_as_dkd_is(ground: Path) -> None:
    found = study("terms", ground)
    comparison = found.comparisons[PAIR]
    dkd = comparison.result("dkd").settings
    for name, own in {"tckd": "alpha", "nckd": "weight"}.items():
        result = comparison.result(name)
        shared = {"task_weight", "temperature", "warmup"}
        assert {key: result.settings[key] for key in shared} == {key: dkd[key] for key in shared}
        assert result.tuning is not None
        assert (result.tuning.parameter, set(result.tuning.candidates)) == (own, {1.0, 4.0})
        row = read_run(ground / "all" / "runs" / PAIR / name / "seed-0").metrics[-1]
        assert row["weights"] == {"hard": 1, name: result.settings[own], **({"nckd": 0} if name == "tckd" else {})}


def test_the_table_holds_the_runs_numbers(ground: Path) -> None:
    found = study("terms", ground)
    (table,) = found.tables
    rows = {str(row[0]): row for row in table.rows}
    assert list(rows) == ["supervised", "kd", "kd-matched", "tckd", "nckd", "dkd"]
    runs = {name: last_score(ground, PAIR, name) for name in rows}
    assert rows["nckd"][3] == paired_interval(runs["nckd"], runs["supervised"])
    assert rows["nckd"][4] == paired_interval(runs["nckd"], runs["kd-matched"])
    (panel,) = json.loads(json.dumps(found.to_json()))["panels"]
    assert panel["series"][0]["y"] == [sum(values.values()) / len(values) for values in runs.values()]


def test_at_the_paper_s_size_nothing_is_tuned_and_the_weights_are_the_published_ones() -> None:
    trials = STUDIES["terms"].trials(SIZES["paper"]())
    assert list(trials) == ["resnet32x4-resnet8x4", "resnet32x4-ShuffleNetV1"]
    for trial in trials.values():
        assert trial.recipe.compare.tune == {}
        assert vars(trial.recipe.compare.methods["nckd"])["weight"] == 8.0
        assert trial.recipe.train.epochs == 240
