"""Data settings refuse what no data set can serve, and are strict when they come from a file."""

import json
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from decant.data import DataSettings, RandAugmentSettings


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"name": "mnist"}, "name is one of digits, cifar10, cifar100, fake, pictures; got 'mnist'"),
        ({"padding": -1}, "padding is at least 0"),
        ({"view_seed": -1}, "view_seed is at least 0"),
        ({"split_seed": 2**63}, r"split_seed is at least 0 and below 2\*\*63"),
        ({"validation": 1.0}, "validation is the share"),
        ({"validation": -0.1}, "validation is the share"),
        ({"validation": float("nan")}, "validation is the share"),
        ({"train_per_class": 0}, "train_per_class is at least 1"),
        ({"fake_classes": 1}, "fake_classes is at least 2"),
        ({"fake_train": 9}, r"fake_train is at least 10 \(one image of every class\)"),
        ({"fake_test": 0}, "fake_test is at least 1"),
        ({"fake_pixels": 3}, "fake_pixels is at least 4"),
    ],
)
def test_refuses(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DataSettings(**wrong)


def test_strong_views_are_the_standard_ones_unless_a_file_says_otherwise() -> None:
    def read(text: str) -> DataSettings:
        return TypeAdapter(DataSettings).validate_json(text, strict=True)

    assert read('{"name": "cifar100"}') == DataSettings(
        name="cifar100", strong=RandAugmentSettings(operations=2, magnitude=10)
    )
    assert read('{"strong": {"name": "randaugment", "magnitude": 5}}').strong == RandAugmentSettings(magnitude=5)
    for wrong in ('{"magnitude": 31}', '{"operations": 0}', '{"operations": 1.0}', '{"bins": 31}', '"randaugment"'):
        with pytest.raises(ValidationError):
            read(f'{{"strong": {wrong}}}')


def test_file_gives_the_same_settings() -> None:
    text = json.dumps({"name": "cifar100", "padding": 2, "flip": False, "view_seed": 5, "validation": 0.1})
    settings = TypeAdapter(DataSettings).validate_json(text, strict=True)
    assert settings == DataSettings(name="cifar100", padding=2, flip=False, view_seed=5, validation=0.1)


@pytest.mark.parametrize("wrong", [{"paddings": 4}, {"padding": "4"}, {"flip": 1}, {"padding": True}, {"padding": -1}])
def test_file_is_read_strictly(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(DataSettings).validate_json(json.dumps(wrong), strict=True)
