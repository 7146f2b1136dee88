"""The one place where a method's terms become a loss."""

from collections.abc import Mapping

import torch
from torch import Tensor


def weighted_total(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Sum of ``weights[name] * terms[name]``.

    A term whose weight is zero is left out rather than multiplied: 0 * inf would be NaN.

    Raises:
        ValueError: terms and weights do not have the same names.

    >>> float(weighted_total({"hard": torch.tensor(2.0), "kd": torch.tensor(3.0)}, {"hard": 0.5, "kd": 0.25}))
    1.75
    """
    if terms.keys() != weights.keys():
        missing, extra = sorted(terms.keys() - weights.keys()), sorted(weights.keys() - terms.keys())
        raise ValueError(
            "a method must give every term a weight and every weight a term; "
            f"terms without a weight: {missing or 'none'}, weights without a term: {extra or 'none'}"
        )
    if not terms:
        raise ValueError("a method must return at least one term, got none")
    weighted = [weights[name] * term for name, term in terms.items() if weights[name] != 0]
    if not weighted:  # every weight is zero: a total that still has a (zero) gradient
        return torch.stack([0 * term.nan_to_num(0, 0, 0) for term in terms.values()]).sum()
    total = weighted[0]
    for term in weighted[1:]:
        total = total + term
    return total


def divided_total(terms: Mapping[str, Tensor], weights: Mapping[str, float], task: str) -> tuple[Tensor, Tensor]:
    """The weighted total in two: the task's own term, and the sum of all others.

    Raises:
        ValueError: as for :func:`weighted_total`; or one of the two has no term.

    >>> terms = {"hard": torch.tensor(2.0), "kd": torch.tensor(3.0), "at": torch.tensor(1.0)}
    >>> [float(part) for part in divided_total(terms, {"hard": 0.5, "kd": 0.25, "at": 2.0}, "hard")]
    [1.0, 2.75]
    """
    others = (terms.keys() | weights.keys()) - {task}
    if task not in weights or not others:
        raise ValueError(f"a loss in two needs the task's own term {task!r} and another, got {', '.join(weights)}")
    own, rest = (
        weighted_total(
            {name: term for name, term in terms.items() if name in names},
            {name: weight for name, weight in weights.items() if name in names},
        )
        for names in ({task}, others)
    )
    return own, rest
