"""Suites put together from the shipped recipes."""

import re

import pytest

from decant.engine.suite import SUITES, chosen, suite
from decant.evidence.published import PUBLISHED
from decant.methods import DKDSettings, KDSettings
from decant.recipe import shipped_recipes


@pytest.mark.parametrize("name", SUITES)
def test_a_pair_is_named_after_its_networks(name: str) -> None:
    recipes = suite(name)
    assert recipes
    for pair, recipe in recipes.items():
        assert recipe.teacher is not None
        assert pair == f"{recipe.teacher.network}-{recipe.student.name}"


def test_the_protocol_has_every_published_pair_with_its_own_settings() -> None:
    recipes = suite("cifar100")
    assert recipes.keys() == PUBLISHED.keys()
    methods = recipes["resnet56-resnet20"].compare.methods
    assert isinstance(recipes["resnet56-resnet20"].method, DKDSettings)
    assert isinstance(methods["kd"], KDSettings)
    assert methods["kd"].weight == 0.9
    on_one_pair = recipes["resnet32x4-resnet8x4"]
    shipped = {path.split("/")[1] for path in shipped_recipes() if re.match("cifar100/.*/resnet32x4-resnet8x4$", path)}
    assert shipped - {"dkd", "dot"} <= on_one_pair.compare.methods.keys()
    assert "dot" not in on_one_pair.compare.methods, "an optimiser is no method"
    assert on_one_pair.compare.methods["dkd-standardised"] != on_one_pair.method


def test_every_published_method_of_a_pair_can_be_run_by_its_name() -> None:
    recipe = suite("cifar100")["resnet32x4-resnet8x4"]
    names = PUBLISHED["resnet32x4-resnet8x4"].keys() - {"teacher", "supervised", "dkd"}
    assert names <= recipe.compare.methods.keys()


def test_other_recipes_beside_the_quick_pairs_stay_out() -> None:
    assert "every-method" not in suite("quick")
    assert "resnet20" not in suite("quick")


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="no suite 'cifar10'; there are: cifar100, quick"):
        suite("cifar10")
    recipes = suite("quick")
    with pytest.raises(ValueError, match=r"no pair resnet20-vgg8; there are: .*resnet20-resnet8"):
        chosen(recipes, ["resnet20-resnet8", "resnet20-vgg8"])
    assert list(chosen(recipes, ["resnet20-resnet8"])) == ["resnet20-resnet8"]
    assert chosen(recipes, None) == recipes
