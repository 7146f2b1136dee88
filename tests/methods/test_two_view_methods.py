"""Methods on a weak and a strong view: their terms, their weights, what they learn, and what they refuse."""

import inspect
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from decant import losses
from decant.interfaces import Batch, Method, Outputs
from decant.methods import METHODS
from losses.logit_cases import N, both, logits
from methods.building import TWO_VIEW_TERMS, digits_context
from methods.test_learning import agreement

every_method = pytest.mark.parametrize("name", TWO_VIEW_TERMS)


def built(name: str, **values: Any) -> Method:
    return METHODS[name](**values).build(digits_context())


def outputs(logits: Tensor) -> Outputs:
    weak, strong = both(logits)
    return Outputs(weak, more=(Outputs(strong),))


def terms(method: Method, labelled: bool = True) -> dict[str, Tensor]:
    student, teacher, target = logits()
    images = torch.zeros(N, 1, 2, 2)
    batch = Batch((images, images), target if labelled else None, torch.arange(N))
    found: dict[str, Tensor] = method(outputs(student), outputs(teacher), batch)
    return found


@every_method
def test_every_term_has_a_weight_and_every_weight_a_term(name: str) -> None:
    method = built(name)
    found = terms(method)
    assert found.keys() == method.weights(0.0).keys() == method.weights(300.0).keys() == {"hard", *TWO_VIEW_TERMS[name]}
    assert all(term.isfinite() and term.ndim == 0 for term in found.values())
    student, _, target = logits()
    torch.testing.assert_close(found["hard"], sum(F.cross_entropy(view, target) for view in both(student)))
    assert (method.task, method.taps, method.views, method.strong_views) == ("hard", (), 2, 1)
    assert method.gather == (name == "mlkd"), "whether samples are compared with each other"
    assert not list(method.parameters())


@every_method
def test_labels_are_needed_by_the_task_term_alone(name: str) -> None:
    with pytest.raises(ValueError, match="needs labels, but the batch has none"):
        terms(built(name), labelled=False)
    assert terms(built(name, task_weight=0.0), labelled=False)["hard"] == 0


@every_method
def test_terms_and_weights_make_the_loss_of_the_same_settings(name: str) -> None:
    loss = getattr(losses, f"{name}_loss")
    accepted = inspect.signature(loss).parameters
    values = {key: value for key, value in vars(METHODS[name]()).items() if key in accepted}
    assert {key: accepted[key].default for key in values} == values, "a default has one value"
    assert len(values) == 5
    changed: dict[str, Any] = {
        key: (1.5, 3.0) if key == "temperatures" else value / 2 if key.endswith("confidence") else value + 1
        for key, value in values.items()
    }
    method = built(name, **changed, warmup=0)
    student, teacher, _ = logits()
    found, weights = terms(method), method.weights(0.0)
    total = sum(weights[key] * found[key] for key in TWO_VIEW_TERMS[name])
    torch.testing.assert_close(total, loss(both(student), both(teacher), **changed))


@every_method
def test_the_warm_up_spares_the_task_term(name: str) -> None:
    method = built(name, task_weight=0.7, warmup=10)
    early, late = method.weights(3.5), method.weights(9.0)
    assert early["hard"] == late["hard"] == 0.7
    for term in TWO_VIEW_TERMS[name]:
        assert early[term] == pytest.approx(0.4 * late[term])
        assert late[term] > 0


@every_method
@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_values_that_no_training_can_use_are_refused(name: str, value: float) -> None:
    for key, default in vars(METHODS[name]()).items():
        if isinstance(default, float):
            with pytest.raises(ValueError, match=f"^{key} must be a finite number"):
                METHODS[name](**{key: value})
    with pytest.raises(ValueError, match="warmup is a number of epochs of at least 0, got -1"):
        built(name, warmup=-1)


def test_temperatures_and_confidences_are_refused_where_they_make_no_sense() -> None:
    with pytest.raises(ValueError, match="temperatures must be at least one number, got none"):
        built("mlkd", temperatures=())
    with pytest.raises(ValueError, match=r"temperature must be a finite number above 0, got 0\.0"):
        built("mlkd", temperatures=(1.0, 0.0))
    with pytest.raises(ValueError, match=r"weak_confidence must be a finite number from 0 to 1, got 1\.5"):
        built("crld", weak_confidence=1.5)


@every_method
def test_the_student_comes_to_agree_with_its_teacher_and_only_its_own(name: str) -> None:
    values = {"task_weight": 0.0, "warmup": 0}
    before, after = agreement(METHODS[name](**values), shuffled=False)
    assert before < 0.3
    assert after > 0.75
    _, mixed = agreement(METHODS[name](**values), shuffled=True)
    assert mixed < before + 0.15
