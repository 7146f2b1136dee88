"""Kullback-Leibler divergences of softened softmaxes that lose no digits, however confident the networks are.

Shapes: logits (N, C, ...), one value per position (N, ...). Units: nats.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Softmax(NamedTuple):
    """A softmax at temperature T before its division: probability = weight / total.

    Attributes:
        scaled: logits over T, (N, C, ...), shifted so that the largest class that takes part is at 0.
        weights: exp(scaled), (N, C, ...); 0 for a class that takes no part.
        total: the sum of the weights, (N, ...), at least 1.
    """

    scaled: Tensor
    weights: Tensor
    total: Tensor


def softmax(logits: Tensor, temperature: float | Tensor, without: Tensor | None = None) -> Softmax:
    """The softmax of logits / T over the classes, but for those that the boolean ``without`` (N, C, ...) names."""
    taking_part = logits if without is None else logits.masked_fill(without, -torch.inf)
    # The shift comes before the division (close logits of 1e4 differ exactly, their quotients do not) and is measured
    # on the classes that take part (a target that leads by 1e4 would swallow the digits of all others). A softmax
    # ignores shifts, so autograd may take it for a constant.
    shift = taking_part.detach().amax(dim=1, keepdim=True)
    scaled = (logits - shift) / (temperature.unsqueeze(1) if isinstance(temperature, Tensor) else temperature)
    # -inf goes in before exp: the class left out may be far above the shift and overflow.
    weights = (scaled if without is None else scaled.masked_fill(without, -torch.inf)).exp()
    return Softmax(scaled, weights, weights.sum(dim=1))


def kl(p: Softmax, q: Softmax) -> Tensor:
    """KL(p || q) = E_p[scaled_p - scaled_q] + log(total_q / total_p).

    One logarithm of a ratio near 1, instead of the difference of two logarithms that grow with the number of classes.
    """
    return (p.weights * (p.scaled - q.scaled)).sum(dim=1) / p.total + (q.total / p.total).log()


class Odds(NamedTuple):
    """One class against all others, exp(scaled) : others, in the units of one ``Softmax``; tensors of any one shape."""

    scaled: Tensor
    others: Tensor

    def log(self) -> Tensor:
        return self.scaled - self.others.log()


def odds_of_class(logits: Tensor, indices: Tensor, temperature: float | Tensor) -> Odds:
    """The odds of one class per position, indices (N, ...), in the softmax of logits (N, C, ...) / T."""
    others = softmax(logits, temperature, without=is_class(indices, logits.shape[1]))
    return Odds(others.scaled.gather(1, indices.unsqueeze(1)).squeeze(1), others.total)


def binary_kl(p: Odds, q: Odds) -> Tensor:
    """KL of the yes/no distributions with odds p and q, elementwise; log p(yes) = logsigmoid(log odds)."""
    # p itself comes from the odds, not from their logarithm, whose rounding grows with its size once exponentiated;
    # where the class leads, both are scaled down by its lead first, so that nothing overflows.
    shift = p.scaled.detach().clamp(min=0.0)
    yes, no = (p.scaled - shift).exp(), p.others * (-shift).exp()
    p_log, q_log = p.log(), q.log()
    log_yes = F.logsigmoid(p_log) - F.logsigmoid(q_log)
    log_no = F.logsigmoid(-p_log) - F.logsigmoid(-q_log)
    return (yes * log_yes + no * log_no) / (yes + no)


def is_class(indices: Tensor, classes: int) -> Tensor:
    """Indices (N, ...) -> boolean (N, C, ...), true at each position's class."""
    every = torch.arange(classes, device=indices.device).view(-1, *(1,) * (indices.ndim - 1))
    return every == indices.unsqueeze(1)


def sum_of_others(weights: Tensor) -> Tensor:
    """For every class of non-negative (N, C, ...) the sum of all others, each to full relative accuracy, in O(C).

    "Total minus own" cancels only for a class that holds more than half, so the largest gets its sum by itself. For the
    rest the largest stays apart until the end, which leaves it exact when there are two classes.
    """
    top = weights.argmax(dim=1)
    is_top = is_class(top, weights.shape[1])
    largest = weights.gather(1, top.unsqueeze(1))
    rest = weights.masked_fill(is_top, 0.0).sum(dim=1, keepdim=True)
    return torch.where(is_top, rest, largest + (rest - weights))
