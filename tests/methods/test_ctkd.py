"""The curriculum temperature: what the student and the temperature each get, and when."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from decant import Distiller
from decant.engine import train
from decant.interfaces import Batch, MethodSettings, Outputs
from decant.losses import dkd_loss, kd_loss
from decant.methods import CTKD, CTKDSettings, weighted_total
from decant.models import create
from engine.tiny import places, recipe, rows_of, untrained_teacher, weights_of
from losses.logit_cases import N, logits
from methods.building import digits_context
from methods.test_learning import agreement

BASES: dict[str, dict[str, Any]] = {
    "kd": {"base": "kd", "task_weight": 0.0, "weight": 0.7},
    "dkd": {"base": "dkd", "task_weight": 0.0, "weight": 0.7, "alpha": 2.0, "beta": 3.0},
}
every_base = pytest.mark.parametrize("base", BASES)


def built(**values: Any) -> CTKD:
    return CTKDSettings(**values).build(digits_context())


def loss_of(base: str, student: Tensor, teacher: Tensor, target: Tensor, temperature: float) -> Tensor:
    if base == "kd":
        return 0.7 * kd_loss(student, teacher, temperature=temperature)
    return 0.7 * dkd_loss(student, teacher, target, alpha=2.0, beta=3.0, temperature=temperature)


def loss_at(base: str, temperature: float) -> Tensor:
    student, teacher, target = logits()
    return loss_of(base, student, teacher, target, temperature)


def terms_of(method: CTKD, student: Tensor) -> dict[str, Tensor]:
    _, teacher, target = logits()
    batch = Batch((torch.zeros(N, 1),), target, torch.arange(N))
    found: dict[str, Tensor] = method(Outputs(student), Outputs(teacher), batch)
    return found


@every_base
def test_the_student_descends_at_the_temperature_as_it_is(base: str) -> None:
    method, (student, *_) = built(**BASES[base]).double(), logits()
    terms = terms_of(method, student)
    assert terms.keys() == method.weights(0.0).keys() == method.weights(300.0).keys()
    now = 1 + 20 / (1 + math.exp(-1))
    assert terms["temperature"].item() == pytest.approx(now)
    loss = weighted_total(terms, method.weights(3.0))
    assert loss.item() == pytest.approx(loss_at(base, now).item())
    (gradient,) = torch.autograd.grad(loss, student)
    other, teacher, target = logits()
    (expected,) = torch.autograd.grad(loss_of(base, other, teacher, target, now), other)
    torch.testing.assert_close(gradient, expected)


@every_base
def test_theta_climbs_with_the_strength_of_the_epoch(base: str) -> None:
    method, (student, *_) = built(**BASES[base]).double(), logits()
    step = 1e-6
    theta = [method.theta.item() + sign * step for sign in (1, -1)]
    up, down = (loss_at(base, 1 + 20 / (1 + math.exp(-value))).item() for value in theta)
    slope = (up - down) / (2 * step)
    for epoch, strength in ((0.0, 0.02447174), (4.9, 0.5), (9.0, 1.0), (200.0, 1.0)):
        loss = weighted_total(terms_of(method, student), method.weights(epoch))
        (gradient,) = torch.autograd.grad(loss, method.theta)
        assert gradient.item() == pytest.approx(-strength * slope, rel=1e-5)
        assert gradient != 0


def test_the_log_has_the_temperature_and_the_loss_does_not() -> None:
    method, (student, *_) = built(base="kd"), logits(torch.float32)
    terms = terms_of(method, student)
    assert terms["adversary"].item() == 0
    assert not terms["temperature"].requires_grad
    weights = method.weights(3.0)
    assert weights["temperature"] == 0
    total = weights["hard"] * terms["hard"] + weights["kd"] * terms["kd"]
    torch.testing.assert_close(weighted_total(terms, weights), total)


def test_ramp_and_warm_up_are_apart() -> None:
    method = built(base="dkd", weight=0.5, alpha=2.0, beta=4.0, warmup=20, ramp=10)
    early, late = method.weights(4.0), method.weights(50.0)
    assert (late["tckd"], late["nckd"], late["adversary"]) == (1.0, 2.0, -0.5)
    assert (early["tckd"], early["nckd"]) == (0.25, 0.5)
    assert early["adversary"] == pytest.approx(-0.25 * 0.5 * 0.5)
    constant = built(ramp=0)
    assert constant.weights(0.0) == constant.weights(300.0)
    assert constant.weights(0.0)["adversary"] == -0.9


def test_theta_is_in_the_optimisers_hands_and_not_in_the_student() -> None:
    student, teacher = (create(name, num_classes=6) for name in ("digits_student", "digits_teacher"))
    distiller = Distiller(student, teacher, CTKDSettings())
    assert any(parameter is distiller.method.get_parameter("theta") for parameter in distiller.parameters())
    assert "method.theta" in distiller.state_dict()
    assert "theta" not in " ".join(distiller.deployed().state_dict())
    with pytest.raises(ValueError, match="the weights of CTKD change with the epoch"):
        distiller(torch.zeros(2, 1, 8, 8), torch.tensor([0, 1]))


def test_a_run_logs_its_temperature(tmp_path: Path) -> None:
    train(recipe(CTKDSettings()), tmp_path / "run", places(tmp_path), teacher=untrained_teacher())
    temperatures = [row["terms"]["temperature"] for row in rows_of(tmp_path / "run")]
    assert len(set(temperatures)) == 3
    assert all(15 < temperature < 21 for temperature in temperatures)
    assert not any("theta" in key for key in weights_of(tmp_path / "run"))


# The tracer looks at the gradient of intermediate results and hides the warning itself, unless warnings are errors.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
@every_base
def test_the_epoch_is_no_part_of_the_graph(base: str) -> None:
    student, teacher = (create(name, num_classes=6).eval() for name in ("digits_student", "digits_teacher"))
    distiller = Distiller(student, teacher, CTKDSettings(**BASES[base])).eval()
    made: list[Any] = []

    def backend(graph: Any, example: list[Tensor]) -> Any:
        made.append(graph)
        return graph.forward

    torch.compiler.reset()
    distiller.compile(dynamic=False, backend=backend, fullgraph=True)
    for epoch in (0.0, 0.5, 1.0, 30.0):
        distiller(torch.zeros(2, 1, 8, 8), torch.tensor([0, 1]), epoch=epoch)
    assert len(made) == 3, "student, teacher and method, once each"
    torch.compiler.reset()


AGREEING = CTKDSettings(task_weight=0.0, weight=1.0)


@pytest.mark.parametrize("settings", [AGREEING, CTKDSettings("ctkd", "dkd", 0.0, 1.0, beta=1.0)], ids=["kd", "dkd"])
def test_the_student_comes_to_agree_with_its_teacher_and_only_its_own(settings: MethodSettings) -> None:
    before, after = agreement(settings, shuffled=False)
    assert before < 0.3
    assert after > 0.85
    _, mixed = agreement(settings, shuffled=True)
    assert mixed < before + 0.15


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"base": "nkd"}, "base is 'kd' or 'dkd', got 'nkd'"),
        ({"weight": -1.0}, "weight must be a finite number of at least 0, got -1.0"),
        ({"beta": math.inf}, "beta must be a finite number of at least 0, got inf"),
        ({"lowest": -1.0}, "lowest must be a finite number of at least 0, got -1.0"),
        ({"span": 0.0}, "span must be a finite number above 0, got 0.0"),
        ({"initial": math.nan}, "initial must be a finite number, got nan"),
        ({"ramp": -1}, "ramp is a number of epochs of at least 0, got -1"),
        ({"warmup": -1}, "warmup is a number of epochs of at least 0, got -1"),
    ],
)
def test_values_that_no_training_can_use_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CTKDSettings(**values)
