"""Equations on logits published after DKD, as plain loops in float64, in the manner of ``references``."""

import torch
from torch import Tensor

from references import added


def dist(student: Tensor, teacher: Tensor, temperature: float, beta: float = 2.0, gamma: float = 2.0) -> Tensor:
    """T^2 (beta mean_i (1 - rho(row i)) + gamma mean_c (1 - rho(column c))) (arXiv:2205.10536)."""
    p, q = (torch.softmax(z.double() / temperature, dim=1) for z in (teacher, student))
    inter = added(1 - correlation(list(a), list(b)) for a, b in zip(p, q, strict=True)) / len(p)
    intra = added(1 - correlation(list(a), list(b)) for a, b in zip(p.T, q.T, strict=True)) / p.shape[1]
    return temperature**2 * (beta * inter + gamma * intra)


def correlation(a: list[Tensor], b: list[Tensor]) -> Tensor:
    """Pearson's."""
    mean_a, mean_b = added(a) / len(a), added(b) / len(b)
    together = added((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True))
    return together / (added((x - mean_a) ** 2 for x in a) * added((y - mean_b) ** 2 for y in b)).sqrt()
