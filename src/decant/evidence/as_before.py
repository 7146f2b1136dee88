"""Settings that came after the first runs, at the values by which nothing changes: a recipe may leave them out."""

from collections.abc import Mapping
from typing import Any

DATA_AS_BEFORE: dict[str, Any] = {
    "strong": {"name": "randaugment", "operations": 2, "magnitude": 10},
    "label_noise": 0.0,
    "all_strong": False,
    "hidden_labels": 0.0,
    "unlabelled": False,
}
"""Of the data, all but those of ``pictures``."""

_PICTURES_AS_BEFORE = {
    "size": 224,
    "scale": [0.08, 1.0],
    "ratio": [0.75, 4 / 3],
    "resize": None,
    "interpolation": "bilinear",
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
    "test": 0.2,
    "sizes": [],
}

AS_BEFORE: dict[str, Mapping[str, Any]] = {
    "data": DATA_AS_BEFORE | {"pictures": _PICTURES_AS_BEFORE},
    "student": {"taps": {}, "pretrained": False, "weights": None, "options": {}},
    "train": {
        "optimizer": {"name": "sgd"},
        "probe_epochs": 0,
        "probe_learning_rate": 0.1,
        "mixup": 0.0,
        "cutmix": 0.0,
        "label_smoothing": 0.0,
        "sync_batchnorm": False,
        "compile": False,
        "teacher_cache": "none",
        "teacher_cache_type": "fp16",
        "teacher_cache_top": None,
        "teacher_cache_temperature": 4.0,
        "weights_type": "fp32",
        "checkpoint_steps": None,
        "on_nonfinite": "stop",
    },
}
"""Part of a recipe -> what it leaves out, or may say."""


def said(recipe: Mapping[str, Any], part: str) -> Any:
    """A part of a recipe without what would be the same unsaid, so that recipes of any version can be compared.

    >>> said({"student": {"name": "resnet20", "pretrained": False}}, "student")
    {'name': 'resnet20'}
    >>> said({}, "task")
    'classification'
    """
    if part == "task":
        return recipe.get(part, "classification")
    return _without(recipe.get(part), AS_BEFORE.get(part, {}))


def _without(value: Any, before: Mapping[str, Any]) -> Any:
    if not isinstance(value, Mapping):
        return value
    kept = {}
    for key, setting in value.items():
        unsaid = before.get(key)
        if isinstance(unsaid, Mapping):
            setting = _without(setting, unsaid)
            if setting != {}:
                kept[key] = setting
        elif key not in before or setting != unsaid:
            kept[key] = setting
    return kept
