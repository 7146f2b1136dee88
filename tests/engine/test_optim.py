import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from decant.engine.optim import MovingAverage, learning_rate_factor, make_optimizer
from decant.engine.sgd import MomentumSGD
from decant.recipe import Cosine, MultiStep, OneCycle, TrainSettings


@pytest.mark.parametrize(
    ("epoch", "factor"),
    [(0.0, 1.0), (149.99, 1.0), (150.0, 0.1), (150 - 1e-12, 0.1), (179.0, 0.1), (180.0, 1e-2), (239.9, 1e-3)],
)
def test_multi_step_falls_at_its_milestones(epoch: float, factor: float) -> None:
    assert learning_rate_factor(MultiStep(), epoch, 240) == pytest.approx(factor)


@pytest.mark.parametrize(
    ("epoch", "factor"), [(0.0, 0.0), (1.0, 0.5), (2.0, 1.0), (6.0, 0.1 + 0.9 * 0.5), (10.0, 0.1), (11.0, 0.1)]
)
def test_cosine_rises_then_falls_half_a_wave(epoch: float, factor: float) -> None:
    assert learning_rate_factor(Cosine(warmup=2.0, final=0.1), epoch, 10) == pytest.approx(factor)


def test_cosine_without_a_warm_up_starts_at_its_height() -> None:
    third = 0.5 * (1 + math.cos(math.pi / 3))
    assert learning_rate_factor(Cosine(), 0.0, 9) == 1.0
    assert learning_rate_factor(Cosine(), 3.0, 9) == pytest.approx(third)
    assert learning_rate_factor(Cosine(), 9.0, 9) == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("epoch", "factor"), [(0.0, 0.2), (1.0, 0.6), (2.0, 1.0), (6.0, 0.5), (9.0, 0.125), (10.0, 0.0)]
)
def test_one_cycle_rises_and_falls_on_straight_lines(epoch: float, factor: float) -> None:
    assert learning_rate_factor(OneCycle(rise=0.2, start=0.2), epoch, 10) == pytest.approx(factor)


def test_one_cycle_without_a_rise_falls_from_the_start() -> None:
    assert [learning_rate_factor(OneCycle(rise=0.0), epoch, 4) for epoch in (0.0, 1.0, 4.0)] == [1.0, 0.75, 0.0]


def test_the_optimiser_is_sgd_over_what_learns() -> None:
    module = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Linear(2, 2).requires_grad_(False))
    settings = TrainSettings(learning_rate=0.3, momentum=0.8, nesterov=True, weight_decay=1e-3)
    optimizer = make_optimizer(module, settings)
    (group,) = optimizer.param_groups
    assert {id(parameter) for parameter in group["params"]} == {id(p) for p in module[:2].parameters()}
    assert (group["lr"], group["momentum"], group["nesterov"], group["weight_decay"]) == (0.3, 0.8, True, 1e-3)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_momentum_that_starts_at_zero_is_torch_s_to_the_bit(momentum: float) -> None:
    torch.manual_seed(0)
    ours, theirs = (nn.Linear(40, 30) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    settings: dict[str, Any] = {"lr": 0.1, "momentum": momentum, "weight_decay": 1e-2}
    optimizers = (
        MomentumSGD(ours.parameters(), **settings),
        torch.optim.SGD(theirs.parameters(), fused=True, **settings),
    )
    for _ in range(5):
        gradients = [torch.randn_like(parameter) for parameter in ours.parameters()]
        for module, optimizer in zip((ours, theirs), optimizers, strict=True):
            for parameter, gradient in zip(module.parameters(), gradients, strict=True):
                parameter.grad = gradient.clone()
            optimizer.step()
        assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))


def test_a_first_step_that_loss_scaling_passes_over_leaves_no_trace() -> None:
    weight = nn.Parameter(torch.ones(1000))
    optimizer, scaler = MomentumSGD([weight], lr=0.1, momentum=0.9), torch.amp.GradScaler("cpu")
    for gradient, expected in ((torch.inf, 1.0), (1.0, 0.9), (1.0, 0.71)):
        scaler.scale(torch.ones(()))  # sets the scale up
        weight.grad = torch.full_like(weight, gradient * scaler.get_scale())
        scaler.step(optimizer)
        scaler.update()
        torch.testing.assert_close(weight.detach(), torch.full_like(weight, expected))


def test_a_parameter_may_have_its_first_gradient_later_than_others() -> None:
    early, late = (nn.Parameter(torch.ones(2)) for _ in range(2))
    optimizer = MomentumSGD([early, late], lr=0.1, momentum=0.5)
    for parameters in ((early,), (early, late)):
        optimizer.zero_grad()
        for parameter in parameters:
            parameter.grad = torch.ones(2)
        optimizer.step()
    torch.testing.assert_close(early.detach(), torch.full((2,), 1 - 0.1 - 0.15))
    torch.testing.assert_close(late.detach(), torch.full((2,), 0.9))


def test_the_moving_average_is_the_loop_that_its_docstring_states() -> None:
    torch.manual_seed(0)
    module, average = (nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).double() for _ in range(2))
    average.load_state_dict(module.state_dict())
    moving = MovingAverage(average, decay=0.5)
    expected = {name: value.detach().clone() for name, value in module.named_parameters()}
    for n in range(30):
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(torch.randn_like(parameter))
        module(torch.randn(8, 3, dtype=torch.float64))  # moves the statistics of BatchNorm
        moving.update(module)
        decay = min(0.5, (1 + n) / (10 + n))
        for name, value in module.named_parameters():
            expected[name] = decay * expected[name] + (1 - decay) * value.detach()
        torch.testing.assert_close(dict(average.named_parameters()), expected)
    assert all(torch.equal(a, b) for a, b in zip(average.buffers(), module.buffers(), strict=True))
    assert not any(parameter.requires_grad for parameter in average.parameters())


def test_a_moving_average_goes_on_from_its_state() -> None:
    module = nn.Linear(2, 2)
    moving, resumed = (MovingAverage(nn.Linear(2, 2), decay=0.999) for _ in range(2))
    for _ in range(3):
        moving.update(module)
    resumed.load_state_dict(moving.state_dict())
    for average in (moving, resumed):
        average.update(module)
    assert torch.equal(moving.module.weight, resumed.module.weight)


def test_a_state_of_another_memory_layout_goes_on_in_this_one() -> None:
    """What divided networks keep is contiguous; the fused step goes through memory and must not mix the two up."""
    weight = torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    settings: dict[str, Any] = {"lr": 0.1, "momentum": 0.9}
    steps: dict[bool, Tensor] = {}
    for elsewhere in (False, True):
        parameter = nn.Parameter(weight.clone(memory_format=torch.channels_last))
        before = MomentumSGD([parameter], **settings)
        parameter.grad = torch.arange(48.0).view(4, 3, 2, 2).contiguous(memory_format=torch.channels_last)
        before.step()
        state = before.state_dict()
        if elsewhere:
            state["state"][0]["momentum_buffer"] = state["state"][0]["momentum_buffer"].contiguous()
            state["param_groups"][0]["fused"] = False
        after = MomentumSGD([parameter], **settings)
        after.load_state_dict(state)
        assert after.param_groups[0]["fused"] is True
        after.step()
        steps[elsewhere] = parameter.detach()
    assert steps[True].equal(steps[False])
