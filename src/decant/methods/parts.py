"""Putting back what a method had put into its student, without the method and without its teacher."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from decant.methods.simkd import head_from

_MAKERS: dict[str, Callable[[nn.Module, Mapping[str, Any]], nn.Module]] = {
    "simkd": lambda student, values: head_from(values).put_into(student),
}
"""Kind of part -> what puts it, with fresh weights, into a student."""


def with_parts(student: nn.Module, parts: Mapping[str, Any]) -> nn.Module:
    """The student as :meth:`decant.Method.deployed_parts` says that it was deployed, the parts with fresh weights.

    Raises:
        ValueError: parts of a method that does not say what they are.

    >>> network = nn.Sequential()
    >>> with_parts(network, {}) is network
    True
    """
    for kind, values in parts.items():
        if kind not in _MAKERS:
            raise ValueError(
                f"its student has parts of {values}, which does not say how to make them again (Method.deployed_parts)"
            )
        student = _MAKERS[kind](student, values)
    return student
