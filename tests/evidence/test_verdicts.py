from dataclasses import replace
from typing import Any

import pytest

from decant.evidence import Claim, Comparison, Interval, MethodResult, Verdict, describe_difference, verdict
from decant.evidence.metric import METRICS
from evidence.invented import DKD, KD_MATCHED, TEACHER, comparison, result, tuned

SUPERVISED = result("supervised", (93.0, 93.5, 92.5, 93.25, 93.0))
MATCHED = result("kd-matched", (95.0, 95.5, 94.75, 95.25, 95.0), tuning=tuned("weight"))
BETTER = (96.0, 96.25, 96.0, 96.5, 96.0)
EQUAL = (95.25, 95.25, 94.75, 95.5, 94.5)
WORSE = (92.0, 92.25, 91.75, 92.0, 92.25)


def said(*results: MethodResult, **changes: Any) -> Verdict:
    return verdict(comparison(*results, **changes))


def claim(verdict: Verdict, kind: str, method: str = "dkd") -> Claim:
    (found,) = (claim for claim in verdict.claims if claim.kind == kind and claim.method == method)
    return found


def test_distillation_helped() -> None:
    found = claim(said(SUPERVISED, result("dkd", BETTER)), "distillation")
    # By hand: differences 3, 2.75, 3.5, 3.25, 3; mean 3.1, std 0.2850, t(0.975, 4) = 2.7764, half width 0.354.
    assert (found.outcome, found.reference) == ("helped", "supervised")
    assert found.text == (
        "dkd against supervised: distillation helped: +3.10 [+2.75, +3.45] percentage points of top-1 (95% interval)."
    )


def test_distillation_hurt() -> None:
    found = claim(said(SUPERVISED, result("dkd", WORSE)), "distillation")
    assert found.outcome == "hurt"
    # By hand: differences -1, -1.25, -0.75, -1.25, -0.75; mean -1, std 0.25, half width 0.310.
    assert "distillation hurt: -1.00 [-1.31, -0.69] percentage points" in found.text


def test_an_interval_that_holds_zero_shows_no_difference_and_says_how_far_it_reaches() -> None:
    found = claim(said(MATCHED, result("dkd", EQUAL, tuning=tuned("beta"))), "decoupling")
    # By hand: differences 0.25, -0.25, 0, 0.25, -0.5; mean -0.05, std 0.3260, half width 0.405.
    assert found.outcome == "no difference shown"
    assert "between -0.45 and +0.35 percentage points" in found.text
    assert "helped" not in found.text


def test_an_interval_that_touches_zero_shows_nothing() -> None:
    interval = claim(said(SUPERVISED, result("dkd", BETTER)), "distillation").interval
    assert interval is not None
    assert interval.low is not None
    shifted = result("dkd", [value - interval.low - 1e-6 for value in BETTER])
    assert claim(said(SUPERVISED, shifted), "distillation").outcome == "no difference shown"


def test_a_difference_of_rounding_alone_has_no_sign() -> None:
    # 1/3 of a point up and down again is 0, but for what binary fractions leave.
    differences = (100 / 3 + 60 - (100 / 3 + 60.1) + 0.1, -1e-14)
    assert all(value != 0 for value in differences)
    for value in differences:
        assert describe_difference(Interval(value, -0.004, 0.25, 3, 0.95)) == "+0.00 [-0.00, +0.25]"


def test_decoupling_helped_against_the_matched_control() -> None:
    verdict = said(SUPERVISED, MATCHED, result("dkd", BETTER, tuning=tuned("beta")))
    found = claim(verdict, "decoupling")
    assert (found.outcome, found.reference) == ("helped", "kd-matched")
    assert "decoupling helped: +1.05" in found.text


def test_kd_as_published_is_never_a_control() -> None:
    verdict = said(SUPERVISED, result("kd", EQUAL), result("dkd", BETTER))
    found = claim(verdict, "decoupling")
    assert (found.outcome, found.reference, found.interval) == ("no verdict", None, None)
    assert "Nothing can be said about decoupling" in found.text
    assert {claim.reference for claim in verdict.claims} == {"supervised", None}


def test_only_dkd_is_asked_about_decoupling_and_every_teacher_about_distillation() -> None:
    label_smoothing = result("smooth", EQUAL, method="supervised")
    verdict = said(
        SUPERVISED, label_smoothing, result("kd", EQUAL), MATCHED, result("dkd-8", BETTER, DKD, method="dkd")
    )
    asked = [(claim.kind, claim.method, claim.reference) for claim in verdict.claims]
    assert asked == [
        ("distillation", "kd", "supervised"),
        ("distillation", "kd-matched", "supervised"),
        ("distillation", "dkd-8", "supervised"),
        ("decoupling", "dkd-8", "kd-matched"),
    ]


def test_without_a_baseline_nothing_is_said_about_distillation() -> None:
    verdict = said(MATCHED, result("dkd", BETTER, tuning=tuned("beta")))
    assert claim(verdict, "distillation").outcome == "no verdict"
    assert "Nothing can be said about distillation" in claim(verdict, "distillation").text
    assert claim(verdict, "decoupling").outcome == "helped"


@pytest.mark.parametrize(("n", "decided"), [(1, False), (2, False), (3, True)])
def test_a_verdict_takes_three_seeds(n: int, decided: bool) -> None:
    # Differences of 10 points that hardly scatter: with two seeds the interval would already exclude zero.
    high = [value + 10 + 0.01 * seed for seed, value in enumerate(SUPERVISED.last.values())]
    few = result("supervised", list(SUPERVISED.last.values())[:n]), result("dkd", high[:n])
    found = claim(said(*few), "distillation")
    assert (found.outcome == "helped") is decided
    assert (found.outcome == "no verdict") is not decided
    if not decided:
        assert f"No verdict: {n} seed" in found.text
        assert "at least 3 are needed" in found.text


def test_a_split_that_selects_settings_gives_no_verdict() -> None:
    verdict = said(SUPERVISED, MATCHED, result("dkd", BETTER), split="validation")
    assert {claim.outcome for claim in verdict.claims} == {"no verdict"}
    assert all("judged on the validation split" in claim.text for claim in verdict.claims)
    assert len([line for line in verdict.lines if line.startswith("No verdict")]) == 1  # said once


def test_what_was_trained_on_shows_nothing() -> None:
    verdict = said(SUPERVISED, MATCHED, result("dkd", BETTER), split="training")
    assert {claim.outcome for claim in verdict.claims} == {"no verdict"}
    assert all("nothing about anything new" in claim.text for claim in verdict.claims)


def test_detectors_are_spoken_of_in_their_metric() -> None:
    verdict = said(
        SUPERVISED, result("kd", BETTER), metric=METRICS["detection"], teachers=({"name": "big", "ap": 1.0},)
    )
    assert verdict.claims[0].text.endswith("percentage points of AP (95% interval).")
    assert any("no better than its students, 1.00% of AP" in caveat for caveat in verdict.caveats)


def test_a_method_that_was_tuned_on_the_test_split_gets_no_verdict() -> None:
    cheated = result("dkd", BETTER, tuning=tuned("beta", split="test"))
    honest = result("kd-matched", EQUAL, tuning=tuned("weight"))
    verdict = said(SUPERVISED, honest, cheated)
    for kind in ("distillation", "decoupling"):
        found = claim(verdict, kind)
        assert found.outcome == "no verdict"
        assert "beta was chosen on the test split" in found.text
    assert claim(verdict, "distillation", "kd-matched").outcome == "helped"


def test_a_control_tuned_on_the_test_split_is_no_control() -> None:
    control = result("kd-matched", EQUAL, tuning=tuned("weight", split="test"))
    found = claim(said(control, result("dkd", BETTER, tuning=tuned("beta"))), "decoupling")
    assert (found.outcome, "No verdict on kd-matched" in found.text) == ("no verdict", True)


@pytest.mark.parametrize(
    ("mine", "controls", "words"),
    [
        (tuned("beta", 4), None, "dkd was tuned over 4 values with 2 seeds each and kd-matched was not tuned"),
        (tuned("beta", 4), tuned("weight", 3), "tuned over 4 values with 2 seeds each and kd-matched was tuned over 3"),
        (tuned("beta", 3), tuned("weight", 3, seeds=(7,)), "kd-matched was tuned over 3 values with 1 seed each"),
    ],
)
def test_decoupling_needs_tuning_on_equal_terms(mine: Any, controls: Any, words: str) -> None:
    control = result("kd-matched", EQUAL, tuning=controls)
    verdict = said(SUPERVISED, control, result("dkd", BETTER, tuning=mine))
    assert claim(verdict, "decoupling").outcome == "no verdict"
    assert words in claim(verdict, "decoupling").text
    assert claim(verdict, "distillation").outcome == "helped"
    assert any(line.startswith("Tuning was not equal") for line in verdict.caveats)


@pytest.mark.parametrize(("name", "value"), [("warmup", 0), ("temperature", 2.0), ("task_weight", 0.1)])
def test_a_control_that_differs_in_a_shared_setting_is_no_control(name: str, value: float) -> None:
    control = result("kd-matched", EQUAL, KD_MATCHED | {name: value}, tuning=tuned("weight"))
    # Tuned over what they share, by one of them or not at all: the control is equally far from matched.
    for parameter in ("beta", name, f"method.{name}"):
        found = claim(said(control, result("dkd", BETTER, tuning=tuned(parameter))), "decoupling")
        assert found.outcome == "no verdict"
        assert f"{name} {DKD[name]} and kd-matched {value}" in found.text


def test_a_shared_setting_that_only_the_control_tuned_must_be_the_same() -> None:
    dkd = result("dkd", BETTER, tuning=tuned("beta"))
    away = result("kd-matched", EQUAL, KD_MATCHED | {"temperature": 2.0}, tuning=tuned("temperature"))
    assert "temperature 4.0 and kd-matched 2.0" in claim(said(away, dkd), "decoupling").text
    back = result("kd-matched", EQUAL, tuning=tuned("temperature"))
    assert claim(said(back, dkd), "decoupling").outcome == "helped"


def test_a_setting_of_the_training_must_be_tuned_for_both() -> None:
    mine, other = tuned("train.learning_rate"), tuned("weight")
    for dkds, controls in ((mine, other), (other, mine)):
        control = result("kd-matched", EQUAL, tuning=controls)
        found = claim(said(control, result("dkd", BETTER, tuning=dkds)), "decoupling")
        assert found.outcome == "no verdict"
        assert "train.learning_rate was tuned for one of dkd and kd-matched alone" in found.text
    both = said(result("kd-matched", EQUAL, tuning=mine), result("dkd", BETTER, tuning=mine))
    assert claim(both, "decoupling").outcome == "helped"


@pytest.mark.parametrize("name", ["temperature", "method.temperature"])
def test_a_shared_setting_that_both_tuned_may_differ(name: str) -> None:
    control = result("kd-matched", EQUAL, KD_MATCHED | {"temperature": 2.0}, tuning=tuned(name))
    found = claim(said(control, result("dkd", BETTER, tuning=tuned(name))), "decoupling")
    assert found.outcome == "helped"


def test_differences_that_are_all_equal_prove_no_spread() -> None:
    # In binary, 93.1 + 0.2 - 93.1 is not the same as 92.3 + 0.2 - 92.3.
    base = [93.1, 92.3, 91.7]
    copies = result("supervised", base), result("dkd", [value + 0.2 for value in base])
    found = claim(said(*copies), "distillation")
    assert found.outcome == "no verdict"
    assert "all 3 seeds differ by the same +0.20" in found.text


def test_intervals_are_called_uncorrected_once_if_there_are_several() -> None:
    several = said(SUPERVISED, MATCHED, result("dkd", BETTER, tuning=tuned("beta")))
    assert [line for line in several.caveats if "corrected" in line] == [
        "Each 95% interval stands for its own comparison; nothing is corrected for making 3 of them."
    ]
    alone = said(SUPERVISED, result("kd", BETTER))
    assert not any("corrected" in line for line in alone.caveats)


@pytest.mark.parametrize(("n", "few"), [(3, True), (4, True), (5, False)])
def test_few_seeds_are_pointed_out(n: int, few: bool) -> None:
    verdict = said(result("supervised", list(SUPERVISED.last.values())[:n]), result("dkd", BETTER[:n]))
    assert any(line.startswith(f"Only {n} seeds") for line in verdict.caveats) is few


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "All runs share one teacher (digits_teacher): the result is about this one teacher."),
        ({"data": {"view_seed": 0}}, "seeds differ in initialisation and order alone"),
        ({"data": {"train_per_class": 20}}, "the same 20 labelled images per class"),
        ({"notes": ("Chosen on other seeds.",)}, "Chosen on other seeds."),
    ],
)
def test_what_limits_a_result_is_said_beside_it(changes: dict[str, Any], words: str) -> None:
    limited = said(SUPERVISED, result("dkd", BETTER), **changes)
    free = said(SUPERVISED, result("dkd", BETTER), teachers=(TEACHER, TEACHER | {"sha256": "decaf"}))
    assert any(words in line for line in limited.lines)
    assert not any(words in line for line in free.lines)


def test_tuning_is_pointed_out_where_it_was_unequal_or_used_the_shown_seeds() -> None:
    unequal = said(SUPERVISED, result("kd", EQUAL), result("dkd", BETTER, tuning=tuned("beta", 3)))
    assert "Tuning was not equal: kd was not tuned; dkd was tuned over 3 values with 2 seeds each." in unequal.caveats
    shown = said(SUPERVISED, result("dkd", BETTER, tuning=tuned("beta", seeds=(0, 2, 9))))
    assert "dkd was tuned with seeds 0, 2, also among those shown." in shown.caveats
    equal = said(SUPERVISED, result("dkd", BETTER, tuning=tuned("beta")))
    assert not any("tuned" in line.lower() or "tuning" in line.lower() for line in equal.lines)


@pytest.mark.parametrize(
    ("mine", "controls"), [(None, None), (tuned("beta", 1), tuned("weight", 1))], ids=["untuned", "one candidate each"]
)
def test_settings_that_nothing_here_chose_give_no_verdict_on_decoupling(mine: Any, controls: Any) -> None:
    control = result("kd-matched", tuple(MATCHED.last.values()), tuning=controls)
    verdict = said(SUPERVISED, control, result("dkd", BETTER, tuning=mine))
    found = claim(verdict, "decoupling")
    assert found.outcome == "no verdict"
    assert "neither dkd nor kd-matched was tuned in this comparison" in found.text
    assert "a published beta was chosen by accuracy on the test set" in found.text
    # The difference is there to be shown all the same, and says nothing against what distillation did.
    assert found.interval is not None
    assert found.interval.mean == pytest.approx(1.05)
    assert claim(verdict, "distillation").outcome == "helped"


@pytest.mark.parametrize(("top1", "told"), [(90.0, True), (99.0, False), (None, False)])
def test_a_teacher_no_better_than_its_students_is_told_of(top1: float | None, told: bool) -> None:
    compared = comparison(
        result("supervised", (93.0, 93.5, 92.5)),
        result("dkd", (95.5, 96.0, 95.75)),
        teachers=({**TEACHER, "top1": top1},),
    )
    assert any("no better than its students" in line for line in verdict(compared).lines) == told


def test_several_classes_to_a_picture_have_methods_of_their_own() -> None:
    metric = METRICS["multilabel"]
    alone = result("bernoulli", WORSE, method="bernoulli")
    alone = replace(alone, teachers=dict.fromkeys(alone.last))
    control = result("bernoulli_kd-matched", WORSE, {"weight": 1.0}, method="bernoulli_kd")
    dkd = result("bernoulli_dkd", BETTER, {"alpha": 4.0, "beta": 1.0})
    all_of_them = Comparison((alone, control, dkd), alone.name, control.name, "test", 1, {}, {}, metric=metric)
    claims = verdict(all_of_them).claims
    assert [(claim.kind, claim.method, claim.outcome) for claim in claims][1:] == [
        ("distillation", "bernoulli_dkd", "helped"),
        ("decoupling", "bernoulli_dkd", "no verdict"),
    ]
    assert "was tuned in this comparison; the weights of one may only happen to be" in claims[2].text
    lone = verdict(Comparison((dkd,), None, None, "test", 1, {}, {}, metric=metric)).claims
    assert "(bernoulli)" in lone[0].text
    assert "no control, bernoulli_kd with its weight matched" in lone[1].text
    assert "(bernoulli_kd-matched)" in lone[1].text
