"""Checks that several methods' settings share."""

import math


def require_weights(**weights: float) -> None:
    """Raise ValueError unless every value is a finite number of at least 0."""
    for name, value in weights.items():
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{name} must be a finite number of at least 0, got {value}")


def require_temperature(temperature: float) -> None:
    """Raise ValueError unless the temperature is a finite number above 0."""
    if not (math.isfinite(temperature) and temperature > 0):
        raise ValueError(f"temperature must be a finite number above 0, got {temperature}")


def require_warmup(warmup: int) -> None:
    """Raise ValueError unless the warm-up is at least 0 epochs."""
    if warmup < 0:
        raise ValueError(f"warmup is a number of epochs of at least 0, got {warmup}")
