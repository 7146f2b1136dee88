from dataclasses import replace
from typing import Any

import pytest

from decant.methods import ATSettings, ComposedSettings, DKDSettings, KDSettings, SupervisedSettings
from decant.recipe import KD_MATCHED, CompareSettings, method_settings, with_candidate


@pytest.mark.parametrize(
    ("tune", "message"),
    [
        ({"dkd": {"beta": (1.0, 2.0)}, "kd-matched": {"weight": (1.0,)}}, "equal terms: .*'dkd': 2, 'kd-matched': 1"),
        ({"dkd": {"beta": ()}}, "equal terms"),
        ({"dkd": {}}, r"tune\.dkd names one setting with its candidates, got none"),
        ({"dkd": {"beta": (1.0,), "alpha": (1.0,)}}, r"tune\.dkd names one setting .* got \['alpha', 'beta'\]"),
        ({"dkd": {"beta": (1.0, 1.0)}}, r"tune\.dkd\.beta must list different finite numbers"),
        ({"dkd": {"beta": (1.0, float("inf"))}}, r"tune\.dkd\.beta must list different finite numbers"),
        ({"dkdd": {"beta": (1.0, 2.0)}}, r"no method 'dkdd' to compare; there are: .*crd, .*dkd, .*, kd, kd-matched, "),
        ({"dkd": {"betta": (1.0, 2.0)}}, "DKDSettings has no setting 'betta' to tune; it has: .*beta"),
        ({"dkd": {"beta": (1.0, -2.0)}}, "beta must be a finite number of at least 0, got -2.0"),
        ({"dkd": {"warmup": (1.0, 2.5)}}, "warmup is a whole number, got 2.5"),
        ({"dkd": {"standardise": (0.0, 1.0)}}, "standardise is true or false, not a number to tune"),
    ],
)
def test_tuning_that_is_not_on_equal_terms_or_of_nothing_is_refused(tune: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CompareSettings(tune=tune)


def test_the_control_has_the_settings_of_dkd_and_a_weight_of_its_own() -> None:
    dkd = DKDSettings(task_weight=0.5, alpha=3.0, beta=6.0, temperature=2.0, warmup=7, standardise=True)
    expected = KDSettings(task_weight=0.5, weight=6.0, temperature=2.0, warmup=7, standardise=True)
    assert method_settings(KD_MATCHED, dkd, CompareSettings()) == expected
    # where the recipe's own method is another one, the control follows the dkd that the comparison would run
    assert method_settings(KD_MATCHED, SupervisedSettings(), CompareSettings(methods={"dkd": dkd})) == expected


def test_a_name_means_the_comparison_s_settings_then_the_recipe_s_then_the_defaults() -> None:
    own, listed = DKDSettings(beta=2.0), DKDSettings(beta=3.0)
    assert method_settings("dkd", own, CompareSettings(methods={"dkd": listed})) == listed
    assert method_settings("dkd", own, CompareSettings()) == own
    assert method_settings("kd", own, CompareSettings()) == KDSettings()
    assert method_settings("mine", own, CompareSettings(methods={"mine": listed})) == listed
    with pytest.raises(ValueError, match=r"no method 'mine' to compare; there are: .*crd, .*dkd, .*, kd, kd-matched, "):
        method_settings("mine", own, CompareSettings())
    with pytest.raises(ValueError, match="derived from dkd's settings"):
        method_settings(KD_MATCHED, own, CompareSettings(methods={"dkd": KDSettings()}))


def test_a_composed_method_is_compared_by_its_name_and_tuned_by_the_setting_of_a_part() -> None:
    both = ComposedSettings((DKDSettings(), ATSettings()))
    compare = CompareSettings(methods={"both": both}, tune={"both": {"at.weight": (10.0, 100.0)}})
    assert method_settings("both", SupervisedSettings(), compare) == both
    assert method_settings("dkd+at", both, CompareSettings()) == both
    expected = ComposedSettings((DKDSettings(), ATSettings(weight=10.0)))
    assert with_candidate(both, "at.weight", 10.0) == expected
    with pytest.raises(ValueError, match=r"kd-matched, .*; a list of methods is named in compare\.methods"):
        method_settings("dkd+at", SupervisedSettings(), CompareSettings())
    for parameter in ("weight", "sp.weight", "0.weight"):
        message = rf"dkd\+at is tuned by a setting of a part, such as dkd\.weight; got {parameter}"
        with pytest.raises(ValueError, match=message):
            CompareSettings(methods={"both": both}, tune={"both": {parameter: (1.0, 2.0)}})
    with pytest.raises(ValueError, match="ATSettings has no setting 'wieght' to tune"):
        CompareSettings(methods={"both": both}, tune={"both": {"at.wieght": (1.0, 2.0)}})
    with pytest.raises(ValueError, match=r"one task_weight; got dkd 1, at 2"):
        with_candidate(both, "at.task_weight", 2.0)


def test_a_candidate_changes_one_setting_and_keeps_its_type() -> None:
    dkd = DKDSettings(alpha=0.5)
    assert with_candidate(dkd, "beta", 3.0) == replace(dkd, beta=3.0)
    warm = with_candidate(dkd, "warmup", 3.0)
    assert warm == replace(dkd, warmup=3)
    assert isinstance(vars(warm)["warmup"], int)
    with pytest.raises(ValueError, match="has no setting 'name'"):
        with_candidate(dkd, "name", 3.0)
