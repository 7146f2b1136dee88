import json

import pytest

from decant.evidence import Comparison, Tuning, mean_interval, paired_interval
from evidence.invented import comparison, result, tuned

SUPERVISED = result("supervised", (93.0, 93.5, 92.5))
MATCHED = result("kd-matched", (95.0, 95.5, 94.75), tuning=tuned("weight"))
DKD = result("dkd", (95.5, 96.0, 95.75), tuning=tuned("beta"))


def test_json_and_back_loses_nothing() -> None:
    before = comparison(SUPERVISED, MATCHED, DKD, notes=("Few labels.",))
    text = json.dumps(before.to_json(), allow_nan=False)
    after = Comparison.from_json(json.loads(text))
    assert after == before
    assert after.result("dkd").tuning == tuned("beta")
    assert json.dumps(after.to_json(), allow_nan=False) == text


def test_json_holds_the_figures_that_readers_look_for() -> None:
    told = comparison(SUPERVISED, MATCHED, DKD).to_json()
    dkd = told["results"][2]
    assert dkd["runs"][1] == {"seed": 1, "last": 96.0, "best": 96.25, "seconds": 4.0, "teacher": "c0ffee" * 10}
    assert dkd["last"]["mean"] == 95.75
    assert dkd["last"]["std"] == 0.25
    assert dkd["difference_to_baseline"]["mean"] == pytest.approx(2.75)
    assert dkd["difference_to_control"]["low"] == paired_interval(DKD.last, MATCHED.last).low
    assert told["results"][0]["difference_to_baseline"] is None


def test_figures_follow_from_the_seeds_alone() -> None:
    told = comparison(SUPERVISED, DKD).to_json()
    told["results"][1]["last"]["mean"] = 99.0
    assert Comparison.from_json(told).result("dkd").last_score.mean == 95.75


def test_json_of_another_format_or_with_holes_is_refused() -> None:
    told = comparison(SUPERVISED, DKD).to_json()
    with pytest.raises(ValueError, match="format 1, got format 2"):
        Comparison.from_json(told | {"format": 2})
    del told["results"][0]["runs"]
    with pytest.raises(ValueError, match="with 'runs', found none"):
        Comparison.from_json(told)


def test_differences_and_intervals() -> None:
    compared = comparison(SUPERVISED, MATCHED, DKD)
    assert compared.difference("dkd", "kd-matched") == paired_interval(DKD.last, MATCHED.last)
    assert compared.difference("dkd", "dkd") is None
    assert compared.difference("dkd", None) is None
    assert compared.interval("dkd") == mean_interval(DKD.last.values())
    with pytest.raises(ValueError, match=r"expected one of .*'dkd'.*got 'crd'"):
        compared.result("crd")


def test_tuning_must_have_chosen_its_best_candidate() -> None:
    with pytest.raises(ValueError, match=r"best candidate to be chosen, beta 4\.0 with 92\.0, got 2\.0 with 91\.0"):
        Tuning("beta", {2.0: 91.0, 4.0: 92.0}, 2.0, (0,))
    assert Tuning("beta", {2.0: 92.0, 4.0: 92.0}, 4.0, (0,)).chosen == 4.0  # a tie is no fault


@pytest.mark.parametrize(
    ("chosen", "seeds", "split", "message"),
    [
        (8.0, (0,), "validation", "chosen among"),
        (4.0, (), "validation", "seeds that beta was tuned with"),
        (4.0, (0,), "train", "split that decided"),
    ],
)
def test_incomplete_tuning_is_refused(chosen: float, seeds: tuple[int, ...], split: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Tuning("beta", {2.0: 91.0, 4.0: 92.0}, chosen, seeds, split)
