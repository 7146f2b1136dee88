"""Equations on logits published after DKD, as plain loops in float64, in the manner of ``references``."""

import torch
from torch import Tensor

from references import added, kd, log_probabilities, log_sum, per_position, without

Pair = tuple[Tensor, Tensor]
"""Of a weak and a strong view."""


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


def nkd(student: Tensor, teacher: Tensor, target: Tensor, gamma: float = 1.5, temperature: float = 1.0) -> Tensor:
    """-p_t log q_t - gamma T^2 sum_i p^_i log q^_i, i other than t (arXiv:2303.13005)."""

    def of_target(z_teacher: list[Tensor], z_student: list[Tensor], t: int) -> Tensor:
        return -log_probabilities(z_teacher)[t].exp() * log_probabilities(z_student)[t]

    def others(z_teacher: list[Tensor], z_student: list[Tensor], t: int) -> Tensor:
        p, q = log_probabilities(without(z_teacher, t)), log_probabilities(without(z_student, t))
        return -added(p_i.exp() * q_i for p_i, q_i in zip(p, q, strict=True))

    first = per_position(of_target, student, teacher, target, 1.0)
    return first + gamma * per_position(others, student, teacher, target, temperature)


def ttm(student: Tensor, teacher: Tensor, gamma: float = 0.1, weighted: bool = False) -> Tensor:
    """KL(p^gamma / U || q), times U if weighted, U = sum p^gamma (arXiv:2402.11148)."""

    def term(z_teacher: list[Tensor], z_student: list[Tensor], _: int) -> Tensor:
        q = log_probabilities(z_student)
        powers = [gamma * p_i for p_i in log_probabilities(z_teacher)]
        u = log_sum(powers)
        divergence = added((p_i - u).exp() * (p_i - u - q_i) for p_i, q_i in zip(powers, q, strict=True))
        return u.exp() * divergence if weighted else divergence

    return per_position(term, student, teacher, teacher.argmax(dim=1), 1.0)


def luminet(student: Tensor, teacher: Tensor, temperature: float = 4.0) -> Tensor:
    """T^2 KL of logits standardised over the batch, class by class (arXiv:2310.03669)."""

    def standardised(logits: Tensor) -> Tensor:
        columns = []
        for column in logits.double().T:
            mean = added(column) / len(column)
            variance = added((z - mean) ** 2 for z in column) / len(column)
            columns.append(torch.stack([(z - mean) / (variance + 1e-5).sqrt() for z in column]))
        return torch.stack(columns, dim=1)

    return kd(standardised(student), standardised(teacher), temperature)


def gdkd(
    student: Tensor, teacher: Tensor, weights: tuple[float, float, float], k: int, temperature: float = 4.0
) -> Tensor:
    """w0 KL of the two buckets + w1 KL within the teacher's k first + w2 KL within the rest (arXiv:2512.04625)."""

    def term(z_teacher: list[Tensor], z_student: list[Tensor], _: int) -> Tensor:
        ranked = sorted(range(len(z_teacher)), key=lambda c: -float(z_teacher[c]))
        total = added([])
        p, q = log_probabilities(z_teacher), log_probabilities(z_student)
        for part, weight in (ranked[:k], weights[1]), (ranked[k:], weights[2]):
            p_part, q_part = [p[c] for c in part], [q[c] for c in part]
            p_sum, q_sum = log_sum(p_part), log_sum(q_part)
            inside = added((a - p_sum).exp() * (a - p_sum - b + q_sum) for a, b in zip(p_part, q_part, strict=True))
            total = total + weights[0] * p_sum.exp() * (p_sum - q_sum) + weight * inside
        return total

    return per_position(term, student, teacher, teacher.argmax(dim=1), temperature)


def rld(
    student: Tensor, teacher: Tensor, target: Tensor, alpha: float, beta: float, temperature: float, tau: float
) -> Tensor:
    """alpha tau^2 KL((max p, 1 - max p) || (q_t, 1 - q_t)) + beta T^2 KL below the target (arXiv:2408.07703)."""

    def confidence(z_teacher: list[Tensor], z_student: list[Tensor], t: int) -> Tensor:
        p, q = log_probabilities(z_teacher), log_probabilities(z_student)
        m = max(range(len(p)), key=lambda c: float(p[c]))
        p_no, q_no = log_sum(without(p, m)), log_sum(without(q, t))
        return p[m].exp() * (p[m] - q[t]) + p_no.exp() * (p_no - q_no)

    def correlation(z_teacher: list[Tensor], z_student: list[Tensor], t: int) -> Tensor:
        below = [c for c in range(len(z_teacher)) if z_teacher[c] < z_teacher[t]]
        if not below:
            return 0 * z_student[0]
        p, q = (log_probabilities([z[c] for c in below]) for z in (z_teacher, z_student))
        return added(p_i.exp() * (p_i - q_i) for p_i, q_i in zip(p, q, strict=True))

    first = per_position(confidence, student, teacher, target, tau)
    return alpha * first + beta * per_position(correlation, student, teacher, target, temperature)


def crld(
    students: Pair, teachers: Pair, weights: tuple[float, float], sure: tuple[float, float], temperature: float
) -> Tensor:
    """w0 [c_w >= sure0] (KD(w, w) + KD(s, s)) + w1 [c_s >= sure1] (KD(w, s) + KD(s, w)) (arXiv:2412.16493)."""

    def confidence(z_teacher: list[Tensor], z_student: list[Tensor], _: int) -> Tensor:
        return max(p.exp() for p in log_probabilities(z_teacher)) + 0 * z_student[0]

    (s_weak, s_strong), (t_weak, t_strong) = students, teachers
    found = []
    for judged, least, pairs in (
        (t_weak, sure[0], ((s_weak, t_weak), (s_strong, t_strong))),
        (t_strong, sure[1], ((s_strong, t_weak), (s_weak, t_strong))),
    ):
        counts = per_position(confidence, judged, judged, judged.argmax(dim=1), 1.0) >= least
        (first, second) = (kd(student, teacher, temperature) for student, teacher in pairs)
        found.append(torch.where(counts, first + second, 0.0))
    return weights[0] * found[0] + weights[1] * found[1]


def mlkd(students: Pair, teachers: Pair, weights: tuple[float, ...], temperatures: tuple[float, ...]) -> Tensor:
    """Sum over T of w0 KD(weak) + w1 KD(strong) + w2 |P'P - Q'Q|^2 / C + w3 |PP' - QQ'|^2 / N (CVPR 2023)."""

    def correlated(rows: list[list[Tensor]]) -> list[Tensor]:
        return [added(a * b for a, b in zip(left, right, strict=True)) for left in rows for right in rows]

    total = added([])
    for temperature in temperatures:
        for weight, student, teacher in zip(weights, students, teachers, strict=False):
            total = total + weight * kd(student, teacher, temperature).mean()
        tables = [
            [[log.exp() for log in log_probabilities(list(row / temperature))] for row in logits.double()]
            for logits in (students[0], teachers[0])
        ]
        by_class = [[list(column) for column in zip(*table, strict=True)] for table in tables]
        for weight, (q, p) in zip(weights[2:], (by_class, tables), strict=True):
            apart = added((a - b) ** 2 for a, b in zip(correlated(q), correlated(p), strict=True))
            total = total + weight * apart / len(q)
    return total


def standardised(logits: Tensor) -> Tensor:
    """(z - mean) / (standard deviation + 1e-7) over the classes (arXiv:2403.01427)."""
    rows = []
    for row in logits.double():
        mean = added(row) / len(row)
        deviation = (added((z - mean) ** 2 for z in row) / (len(row) - 1)).sqrt()
        rows.append(torch.stack([(z - mean) / (deviation + 1e-7) for z in row]))
    return torch.stack(rows)
