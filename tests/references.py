"""The papers' equations as plain loops in float64: slow, literal, and sharing nothing with the code under test.

Each function takes logits (N, C) or (N, C, d1, ...) and returns one value per position, (N, d1, ...), differentiable by
autograd. Products and quotients of exponentials are taken as sums and differences of their logarithms, because the
tests go to logits of 1e4, where float64 overflows too; otherwise the equations stand as they are printed.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

Term = Callable[[list[Tensor], list[Tensor], int], Tensor]


def kd(student: Tensor, teacher: Tensor, temperature: float | Tensor = 4.0) -> Tensor:
    """T^2 KL(p || q) (arXiv:1503.02531; arXiv:2203.08679, section 3.1)."""

    def term(z_teacher: list[Tensor], z_student: list[Tensor], _: int) -> Tensor:
        p, q = log_probabilities(z_teacher), log_probabilities(z_student)
        return added(p_i.exp() * (p_i - q_i) for p_i, q_i in zip(p, q, strict=True))

    return per_position(term, student, teacher, teacher.argmax(dim=1), temperature)


def tckd(student: Tensor, teacher: Tensor, target: Tensor, temperature: float | Tensor = 4.0) -> Tensor:
    """T^2 KL(b(p) || b(q)), b = [p_t, p_\\t] (arXiv:2203.08679, section 3.1); the expectation for soft labels."""

    def term(z_teacher: list[Tensor], z_student: list[Tensor], t: int) -> Tensor:
        p, q = log_probabilities(z_teacher), log_probabilities(z_student)
        p_others, q_others = log_sum(without(p, t)), log_sum(without(q, t))
        return p[t].exp() * (p[t] - q[t]) + p_others.exp() * (p_others - q_others)

    return per_position(term, student, teacher, target, temperature)


def nckd(student: Tensor, teacher: Tensor, target: Tensor, temperature: float | Tensor = 4.0) -> Tensor:
    """T^2 KL(p^ || q^), p^ without class t (arXiv:2203.08679, section 3.1); the expectation for soft labels."""

    def term(z_teacher: list[Tensor], z_student: list[Tensor], t: int) -> Tensor:
        p, q = log_probabilities(without(z_teacher, t)), log_probabilities(without(z_student, t))
        return added(p_i.exp() * (p_i - q_i) for p_i, q_i in zip(p, q, strict=True))

    return per_position(term, student, teacher, target, temperature)


def dkd(
    student: Tensor, teacher: Tensor, target: Tensor, alpha: float, beta: float, temperature: float | Tensor = 4.0
) -> Tensor:
    """alpha TCKD + beta NCKD (arXiv:2203.08679, eq. 7)."""
    return alpha * tckd(student, teacher, target, temperature) + beta * nckd(student, teacher, target, temperature)


def per_position(term: Term, student: Tensor, teacher: Tensor, target: Tensor, temperature: float | Tensor) -> Tensor:
    """T^2 times ``term`` at every position; its expectation, class by class, where the target holds probabilities."""
    positions = (student.shape[0], *student.shape[2:])
    z_student, z_teacher = rows(student.double()), rows(teacher.detach().double())
    temperatures = torch.as_tensor(temperature, dtype=torch.float64).expand(positions).reshape(-1)
    values = []
    for n in range(len(z_student)):
        s = [z / temperatures[n] for z in z_student[n]]
        t = [z / temperatures[n] for z in z_teacher[n]]
        if target.is_floating_point():
            y = rows(target.double())[n]
            value = added(y[k] * term(t, s, k) for k in range(len(y)))
        else:
            value = term(t, s, int(target.reshape(-1)[n]))
        values.append(temperatures[n] ** 2 * value)
    return torch.stack(values).reshape(positions)


def rows(values: Tensor) -> Tensor:
    """(N, C, d1, ...) -> (positions, C)."""
    return values.movedim(1, -1).reshape(-1, values.shape[1])


def log_probabilities(logits: list[Tensor]) -> list[Tensor]:
    total = log_sum(logits)
    return [z - total for z in logits]


def log_sum(logs: list[Tensor]) -> Tensor:
    """The logarithm of a sum of exponentials."""
    return torch.logsumexp(torch.stack(logs), dim=0)


def without(values: list[Tensor], t: int) -> list[Tensor]:
    return [value for i, value in enumerate(values) if i != t]


def added(values: Iterable[Tensor]) -> Tensor:
    total = torch.zeros((), dtype=torch.float64)
    for value in values:
        total = total + value
    return total
