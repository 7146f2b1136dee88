"""Distillation-oriented training (Zhao, Cui, Song, Liang 2023, arXiv:2307.08436): two gradients, two momenta."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from decant.engine.sgd import MomentumSGD
from decant.interfaces import Method


class DOT(MomentumSGD):
    """SGD that keeps the task's gradient apart from all others, with less momentum for the first, more for the second.

    With momentum mu, delta d, weight decay w and learning rate r, for every parameter p that both reach:

        task <- (mu - d) task + (gradient of the task's term + w p)
        rest <- (mu + d) rest + gradient of all other terms
        p    <- p - r (task + rest)

    A parameter that only one of them reaches, such as those of a method's adapters, has nothing to be kept apart and
    is trained by plain SGD with momentum mu. With d = 0 all of it is plain SGD, up to rounding. The weight decay goes
    to the task's momentum, as in the authors' code.

    Args:
        parameters: what is trained, on its device.
        lr: learning rate r.
        momentum: mu.
        delta: d, at least 0 and at most mu; mu + d is below 1.
        weight_decay: w.

    Raises:
        ValueError: momenta outside 0 to 1.

    >>> weight = nn.Parameter(torch.zeros(1))
    >>> optimizer = DOT([weight], lr=1.0, momentum=0.5, delta=0.25)
    >>> for _ in range(2):
    ...     optimizer.zero_grad()
    ...     optimizer.backward(weight.sum(), 2 * weight.sum())
    ...     optimizer.step()
    >>> weight.item()  # -(1 + 2), then -(1.25 + 3.5)
    -7.75
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        *,
        lr: float,
        momentum: float = 0.9,
        delta: float = 0.075,
        weight_decay: float = 0.0,
    ) -> None:
        if not (0 <= delta <= momentum and momentum + delta < 1):
            raise ValueError(
                "delta must be from 0 to momentum, and momentum + delta below 1, "
                f"got delta {delta} and momentum {momentum}"
            )
        task = list(parameters)
        # Momentum is set for a group, and a tensor has one gradient: so each parameter is in three groups, by tensors
        # that share its memory. In a step either the first two of them have a gradient or the last.
        rest, alone = ([parameter.detach().requires_grad_() for parameter in task] for _ in range(2))
        super().__init__(
            [
                {"params": task, "momentum": momentum - delta, "weight_decay": weight_decay},
                {"params": rest, "momentum": momentum + delta, "weight_decay": 0.0},
                {"params": alone, "momentum": momentum, "weight_decay": weight_decay},
            ],
            lr=lr,
        )

    def backward(
        self,
        task: Tensor,
        rest: Tensor,
        *,
        run: Callable[..., None] = torch.autograd.backward,
        exchange: Callable[[list[Tensor]], None] = lambda gradients: None,
    ) -> None:
        """Add the gradients of the task's loss and of all others', as ``Distiller.forward(apart=True)`` gives them.

        Args:
            task: the task's loss.
            rest: all others' loss.
            run: takes the gradient of one of them; scaled, for instance.
            exchange: is given what both have gathered since the last step, such as to average it over processes.

        Raises:
            RuntimeError: the parameters were moved after the optimiser was made.
        """
        if any(task.data_ptr() != rest.data_ptr() for task, rest, _ in self._tensors()):
            raise RuntimeError("the parameters were moved after DOT was made of them; make it after the move")
        self._swap()
        run(rest, retain_graph=True)
        self._swap()
        run(task)
        tensors = [tensor for group in self.param_groups for tensor in group["params"]]
        exchange([tensor.grad for tensor in tensors if tensor.grad is not None])

    def step(self, closure: Any = None) -> Any:
        """One step, after :meth:`backward`."""
        for task, rest, alone in self._tensors():
            if (task.grad is None) != (rest.grad is None):
                alone.grad = task.grad if rest.grad is None else rest.grad
                task.grad = rest.grad = None
        return super().step(closure)

    def _swap(self) -> None:
        """Let the parameters gather the other gradient: backward passes add to theirs."""
        for task, rest, _ in self._tensors():
            task.grad, rest.grad = rest.grad, task.grad

    def _tensors(self) -> Iterable[tuple[Tensor, Tensor, Tensor]]:
        task, rest, alone = (group["params"] for group in self.param_groups)
        return zip(task, rest, alone, strict=True)


def refuse_one_gradient(method: Method, name: str) -> None:
    """Raise ValueError for a method that has nothing to keep apart: no task term that counts, or nothing else."""
    weights = method.weights(0.0)
    if not weights.get(method.task):
        raise ValueError(
            f"train.optimizer dot keeps the gradient of the task's term apart, but {name} has none that counts "
            f"(weights: {weights}); give it a task_weight above 0, or use sgd"
        )
    if len(weights) == 1:
        raise ValueError(
            f"train.optimizer dot keeps the gradient of the task's term apart from those that distil, but {name} has "
            "no other term; use sgd (in a comparison: compare.optimizers)"
        )
