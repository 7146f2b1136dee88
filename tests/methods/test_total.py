import math

import pytest
import torch
from torch import Tensor

from decant.methods import divided_total, weighted_total


def test_the_total_is_the_weighted_sum() -> None:
    terms = {"hard": torch.tensor(2.0, dtype=torch.float64), "kd": torch.tensor(3.0, dtype=torch.float64)}
    assert weighted_total(terms, {"kd": 0.5, "hard": 0.25}).item() == 2.0 * 0.25 + 3.0 * 0.5


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"hard": 1.0}, r"terms without a weight: \['kd'\], weights without a term: none"),
        ({"hard": 1.0, "kd": 1.0, "tckd": 1.0}, r"terms without a weight: none, weights without a term: \['tckd'\]"),
        ({"hard": 1.0, "soft": 1.0}, r"terms without a weight: \['kd'\], weights without a term: \['soft'\]"),
    ],
)
def test_names_that_do_not_match_are_refused(weights: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        weighted_total({"hard": torch.tensor(1.0), "kd": torch.tensor(1.0)}, weights)


def test_a_method_without_terms_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one term"):
        weighted_total({}, {})


@pytest.mark.parametrize("broken", [math.inf, -math.inf, math.nan])
def test_what_does_not_count_cannot_spoil_the_total_or_its_gradient(broken: float) -> None:
    logit = torch.tensor(3.0, requires_grad=True)
    total = weighted_total({"hard": 2 * logit, "kd": broken * logit}, {"hard": 1.0, "kd": 0.0})
    (gradient,) = torch.autograd.grad(total, logit)
    assert (total.item(), gradient.item()) == (6.0, 2.0)


def test_with_every_weight_zero_there_is_still_a_loss_to_call_backward_on() -> None:
    logit = torch.tensor(3.0, requires_grad=True)
    terms: dict[str, Tensor] = {"hard": 2 * logit, "kd": logit + math.inf}
    total = weighted_total(terms, {"hard": 0.0, "kd": 0.0})
    (gradient,) = torch.autograd.grad(total, logit)
    assert (total.item(), gradient.item()) == (0.0, 0.0)


def test_a_term_that_counts_is_not_hidden_when_it_breaks() -> None:
    terms = {"hard": torch.tensor(1.0), "kd": torch.tensor(math.nan)}
    assert math.isnan(weighted_total(terms, {"hard": 1.0, "kd": 1e-9}).item())


def test_the_two_parts_are_the_total() -> None:
    terms = {name: torch.tensor(value, dtype=torch.float64) for name, value in (("a", 2.0), ("own", 3.0), ("b", 5.0))}
    weights = {"own": 0.5, "b": 2.0, "a": 0.25}
    own, rest = divided_total(terms, weights, "own")
    assert (own.item(), rest.item()) == (1.5, 10.5)
    assert own + rest == weighted_total(terms, weights)


@pytest.mark.parametrize(
    ("names", "weights", "message"),
    [
        ({"own"}, {"own": 1.0}, "needs the task's own term 'own' and another, got own"),
        ({"a", "b"}, {"a": 1.0, "b": 1.0}, "needs the task's own term 'own' and another, got a, b"),
        ({"own", "a", "b"}, {"own": 1.0, "a": 1.0}, r"terms without a weight: \['b'\]"),
        ({"a", "b"}, {"own": 1.0, "a": 1.0, "b": 1.0}, r"weights without a term: \['own'\]"),
    ],
)
def test_a_loss_that_cannot_be_divided_is_refused(names: set[str], weights: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        divided_total({name: torch.tensor(1.0) for name in names}, weights, "own")
