import inspect
import math
from typing import Any

import pytest

from decant import losses
from decant.interfaces import MethodSettings
from decant.methods import METHODS, DKDSettings, KDSettings, SupervisedSettings
from methods.building import digits_context


@pytest.mark.parametrize("name", METHODS)
def test_settings_carry_their_name_and_build_their_method(name: str) -> None:
    settings = METHODS[name]()
    assert isinstance(settings, MethodSettings)
    assert settings.name == name
    assert settings.build(digits_context()).needs_teacher == (name != "supervised")


@pytest.mark.parametrize("settings", [KDSettings, DKDSettings])
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"task_weight": -0.1}, "task_weight must be a finite number of at least 0, got -0.1"),
        ({"task_weight": math.nan}, "task_weight must be a finite number"),
        ({"temperature": 0.0}, "temperature must be a finite number above 0, got 0.0"),
        ({"temperature": math.inf}, "temperature must be a finite number above 0"),
        ({"warmup": -1}, "warmup is a number of epochs of at least 0, got -1"),
    ],
)
def test_values_that_no_training_can_use_are_refused(
    settings: type[KDSettings] | type[DKDSettings], values: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        settings(**values)


@pytest.mark.parametrize("settings", [KDSettings, DKDSettings])
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"task_weight": "1"}, "task_weight must be a number, got '1'"),
        ({"temperature": True}, "temperature must be a number, got True"),
        ({"warmup": 2.5}, "warmup must be a whole number of epochs, got 2.5"),
        ({"warmup": True}, "warmup must be a whole number of epochs, got True"),
        ({"standardise": 1}, "standardise must be true or false, got 1"),
    ],
)
def test_what_is_no_number_is_refused(settings: Any, values: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        settings(**values)


@pytest.mark.parametrize(("settings", "name"), [(KDSettings, "weight"), (DKDSettings, "alpha"), (DKDSettings, "beta")])
@pytest.mark.parametrize("value", [-1.0, math.inf, math.nan])
def test_weights_are_finite_and_not_negative(settings: Any, name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} must be a finite number of at least 0, got {value}"):
        settings(**{name: value})


@pytest.mark.parametrize(("settings", "loss"), [(KDSettings(), "kd_loss"), (DKDSettings(), "dkd_loss")])
def test_a_default_has_one_value_in_loss_and_settings(settings: MethodSettings, loss: str) -> None:
    ours = vars(settings)
    theirs = {
        name: parameter.default
        for name, parameter in inspect.signature(getattr(losses, loss)).parameters.items()
        if name in ours
    }
    assert "temperature" in theirs
    assert theirs == {name: ours[name] for name in theirs}


def test_the_defaults_are_those_of_the_published_protocol() -> None:
    assert vars(KDSettings()) == {
        "name": "kd",
        "task_weight": 0.1,
        "weight": 0.9,
        "temperature": 4.0,
        "warmup": 0,
        "standardise": False,
    }
    assert vars(DKDSettings()) == {
        "name": "dkd",
        "task_weight": 1.0,
        "alpha": 1.0,
        "beta": 8.0,
        "temperature": 4.0,
        "warmup": 20,
        "standardise": False,
    }
    assert vars(SupervisedSettings()) == {"name": "supervised"}
