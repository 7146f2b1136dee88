"""Checks that several methods' settings share."""

import math


def require_weights(**weights: float) -> None:
    """Raise unless every value is a finite number of at least 0."""
    for name, value in weights.items():
        _require_number(name, value)
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{name} must be a finite number of at least 0, got {value}")


def require_temperature(temperature: float) -> None:
    """Raise unless the temperature is a finite number above 0."""
    require_positive(temperature=temperature)


def require_warmup(warmup: int, name: str = "warmup") -> None:
    """Raise unless the warm-up is a whole number of at least 0 epochs."""
    if isinstance(warmup, bool) or not isinstance(warmup, int):
        raise TypeError(f"{name} must be a whole number of epochs, got {warmup!r}")
    if warmup < 0:
        raise ValueError(f"{name} is a number of epochs of at least 0, got {warmup}")


def require_whole(at_least: int, **values: int) -> None:
    """Raise unless every value is a whole number of at least ``at_least``."""
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{name} must be a whole number, got {value!r}")
        if value < at_least:
            raise ValueError(f"{name} must be at least {at_least}, got {value}")


def require_positive(**values: float) -> None:
    """Raise unless every value is a finite number above 0."""
    for name, value in values.items():
        _require_number(name, value)
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be a finite number above 0, got {value}")


def require_shares(**values: float) -> None:
    """Raise unless every value is a number from 0 to 1."""
    for name, value in values.items():
        _require_number(name, value)
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must be a finite number from 0 to 1, got {value}")


def require_finite(**values: float) -> None:
    """Raise unless every value is a finite number."""
    for name, value in values.items():
        _require_number(name, value)
        if not math.isfinite(value):
            raise ValueError(f"{name} must be a finite number, got {value}")


def require_scales(scales: tuple[int, ...]) -> None:
    """Raise unless they are whole numbers that rise from 1."""
    require_whole(1, **{f"scales[{position}]": scale for position, scale in enumerate(scales)})
    if scales[:1] != (1,) or list(scales) != sorted(set(scales)):
        raise ValueError(f"scales rise from 1, the whole, such as (1, 2, 4), got {scales}")


def require_flag(**flags: bool) -> None:
    """Raise unless every value is true or false."""
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise TypeError(f"{name} must be true or false, got {value!r}")


def _require_number(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number, got {value!r}")
