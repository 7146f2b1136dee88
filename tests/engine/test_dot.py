"""Two gradients and two momenta: DOT is its equations, whatever the loop does around it."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from decant import Distiller
from decant.engine import DOT
from decant.engine.fit import fit_epoch
from decant.engine.progress import Reporter
from decant.engine.training import Training
from decant.interfaces import Batch, MethodSettings
from decant.methods import METHODS, DKDSettings, KDSettings, SupervisedSettings
from decant.recipe import DOTSettings, MultiStep, TrainSettings
from engine.tiny import on_cpu, recipe, splits, untrained_teacher
from engine.toy_methods import batch, network

RATE, MOMENTUM, DELTA, DECAY = 0.1, 0.8, 0.15, 0.05
Losses = tuple[Tensor, Tensor]


class Branches(nn.Module):
    """A trunk that both losses reach, a head for each alone, and a parameter that none reaches."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.trunk, self.task, self.rest = nn.Linear(4, 5), nn.Linear(5, 3), nn.Linear(5, 3)
        self.idle = nn.Parameter(torch.ones(2))
        self.double()

    def losses(self, images: Tensor) -> Losses:
        target = torch.arange(len(images)) % 3
        hidden = self.trunk(images).tanh()
        return F.cross_entropy(self.task(hidden), target), self.rest(hidden).square().mean()


def dot(module: nn.Module, **changes: float) -> DOT:
    settings = {"momentum": MOMENTUM, "delta": DELTA, "weight_decay": DECAY, **changes}
    return DOT(module.parameters(), lr=RATE, **settings)


def images(seed: int, size: int = 6) -> Tensor:
    return torch.randn(size, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in module.named_parameters()}


def by_hand(module: Branches, groups: list[list[Tensor]], delta: float = DELTA) -> None:
    """The equations of DOT, one parameter after another; a step for each group of batches."""
    momenta: dict[tuple[str, str], Tensor] = {}
    named = dict(module.named_parameters())
    for group in groups:
        means = [torch.stack(losses).mean() for losses in zip(*map(module.losses, group), strict=True)]
        of = [torch.autograd.grad(mean, list(named.values()), retain_graph=True, allow_unused=True) for mean in means]
        for (name, parameter), task, rest in zip(named.items(), *of, strict=True):
            both = task is not None and rest is not None
            with torch.no_grad():
                decay = DECAY * parameter
                for kind, gradient, change, decays in (("task", task, -delta, True), ("rest", rest, delta, not both)):
                    if gradient is not None:
                        step = gradient + decay * decays
                        momentum = MOMENTUM + change * both
                        momenta[name, kind] = momentum * momenta.get((name, kind), 0) + step
                        parameter -= RATE * momenta[name, kind]


def test_five_steps_are_the_equations() -> None:
    ours, theirs = Branches(), Branches()
    optimizer = dot(ours)
    for seed in range(5):
        optimizer.zero_grad()
        optimizer.backward(*ours.losses(images(seed)))
        optimizer.step()
    by_hand(theirs, [[images(seed)] for seed in range(5)])
    torch.testing.assert_close(weights(ours), weights(theirs), rtol=1e-12, atol=1e-12)
    assert torch.equal(ours.idle, torch.ones(2).double()), "not even weight decay touches what no loss reaches"
    without = Branches()
    by_hand(without, [[images(seed)] for seed in range(5)], delta=0.0)
    assert (without.trunk.weight - ours.trunk.weight).abs().max() > 1e-3, "delta made no difference"


@pytest.mark.parametrize("weight_decay", [0.0, DECAY])
def test_without_delta_it_is_sgd(weight_decay: float) -> None:
    ours, theirs = Branches(), Branches()
    optimizer = dot(ours, delta=0.0, weight_decay=weight_decay)
    sgd = torch.optim.SGD(theirs.parameters(), lr=RATE, momentum=MOMENTUM, weight_decay=weight_decay)
    for seed in range(20):
        optimizer.zero_grad()
        optimizer.backward(*ours.losses(images(seed)))
        optimizer.step()
        sgd.zero_grad()
        torch.autograd.backward(sum(theirs.losses(images(seed)), torch.zeros(())))
        sgd.step()
    torch.testing.assert_close(weights(ours), weights(theirs), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("accumulate", [1, 2, 5])
def test_in_the_loop_both_gradients_are_averaged_over_a_group(accumulate: int) -> None:
    ours, theirs = Branches(), Branches()
    given = [images(seed) for seed in range(5)]

    def step(batch: Batch) -> tuple[Losses, Mapping[str, Tensor]]:
        return ours.losses(batch.images[0]), {}

    optimizer, parallel = dot(ours), on_cpu()
    log = fit_epoch(
        0,
        step=step,
        batches=[Batch((each,), None, torch.arange(len(each))) for each in given],
        steps=len(given),
        module=ours,
        optimizer=optimizer,
        settings=TrainSettings(epochs=1, accumulate=accumulate, learning_rate=RATE, schedule=MultiStep()),
        parallel=parallel,
        backward=partial(optimizer.backward, run=parallel.backward, exchange=parallel.average),
    )
    groups = [given[first : first + accumulate] for first in range(0, len(given), accumulate)]
    by_hand(theirs, groups)
    torch.testing.assert_close(weights(ours), weights(theirs), rtol=1e-12, atol=1e-12)
    if accumulate == 5:
        first = torch.stack([sum(Branches().losses(each), torch.zeros(())) for each in given]).mean().item()
        assert log.loss == pytest.approx(first), "the log has the whole loss"


@pytest.mark.parametrize("broken", [0, 1], ids=["task", "rest"])
def test_loss_scaling_scales_both_and_passes_over_a_step_where_either_overflows(broken: int) -> None:
    ours, theirs = Branches().float(), Branches().float()
    optimizer, plain, scaler = dot(ours), dot(theirs), torch.amp.GradScaler("cpu")

    def scaled(loss: Tensor, **how: bool) -> None:
        scaler.scale(loss).backward(**how)

    for seed in range(4):
        losses = list(ours.losses(images(seed).float()))
        losses[broken] = losses[broken] * (torch.inf if seed in (0, 2) else 1)
        optimizer.zero_grad()
        optimizer.backward(*losses, run=scaled)
        scaler.step(optimizer)
        scaler.update()
        if seed in (1, 3):
            plain.zero_grad()
            plain.backward(*theirs.losses(images(seed).float()))
            plain.step()
        torch.testing.assert_close(weights(ours), weights(theirs))


def test_the_distiller_gives_its_loss_in_two() -> None:
    student, teacher = network(5, seed=1), network(9, seed=2)
    distiller = Distiller(student, teacher, DKDSettings(task_weight=0.5, beta=2.0, warmup=10)).eval()
    pictures, target = batch()
    loss, terms, logits = distiller(pictures, target, epoch=4.0)
    task, rest, same, again = distiller(pictures, target, epoch=4.0, apart=True)
    torch.testing.assert_close(task, 0.5 * terms["hard"])
    torch.testing.assert_close(rest, 0.5 * (terms["tckd"] + 2.0 * terms["nckd"]))
    torch.testing.assert_close(task + rest, loss)
    assert all(torch.equal(same[name], terms[name]) for name in terms)
    assert torch.equal(again, logits)
    with pytest.raises(ValueError, match="a loss in two needs the task's own term 'hard' and another, got hard"):
        Distiller(student, teacher, "supervised").eval()(pictures, target, apart=True)


def training(method: MethodSettings, **changes: Any) -> Training:
    planned = recipe(method, optimizer=DOTSettings(), nesterov=False, **changes)
    with torch.random.fork_rng():
        return Training(planned, splits(), untrained_teacher(), on_cpu())


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (SupervisedSettings(), "but supervised has no other term; use sgd"),
        (KDSettings(task_weight=0.0), r"but kd has none that counts \(weights: .*\); give it a task_weight above 0"),
    ],
)
def test_a_method_with_one_gradient_is_refused(method: MethodSettings, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        training(method)


def test_it_says_why_it_does_not_compile() -> None:
    reason = training(DKDSettings()).compile()
    assert reason is not None
    assert reason.startswith("dot goes through a step's graph twice")


def test_what_one_gradient_reaches_has_one_momentum() -> None:
    made = training(METHODS["fitnet"]())
    made.fit_epoch(0, Reporter())
    state = made.state_dict()["optimizer"]
    task, rest, alone = ([key in state["state"] for key in group["params"]] for group in state["param_groups"])
    assert task == rest == [not single for single in alone]
    names = [name for name, _ in made.distiller.named_parameters()]
    single = {name for name, is_alone in zip(names, alone, strict=True) if is_alone}
    assert any(name.startswith("method.") for name in names)
    assert {name for name in names if name.startswith("method.")} <= single, "adapters learn from the hint alone"
    assert any("classifier" in name for name in single), "the hint is taken before it"
    assert len(single) < len(names)


@pytest.mark.parametrize(("momentum", "delta"), [(0.9, 0.1), (0.05, 0.075), (0.9, -0.1), (0.9, float("nan"))])
def test_momenta_outside_0_to_1_are_refused(momentum: float, delta: float) -> None:
    with pytest.raises(ValueError, match=r"delta must be from 0 to momentum, and momentum \+ delta below 1, got"):
        dot(Branches(), momentum=momentum, delta=delta)


def test_parameters_that_were_moved_meanwhile_are_noticed() -> None:
    module = Branches()
    optimizer = dot(module)
    module.float()
    with pytest.raises(RuntimeError, match="the parameters were moved after DOT was made of them"):
        optimizer.backward(*module.losses(images(0).float()))
