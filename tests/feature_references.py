"""The papers' equations on features as plain loops in float64: slow, literal, sharing nothing with the code under test.

Feature maps are (N, C, H, W), vectors (N, D). Each function gives one value, differentiable by autograd. Where protocol
and paper differ by a factor, the protocol's mean is taken; the docstring of the loss has the factor.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from references import added


def at(students: Sequence[Tensor], teachers: Sequence[Tensor], power: float = 2) -> Tensor:
    """Distance of normalised sums over channels of |activation|^power (arXiv:1612.03928, eq. 2), mean over entries."""

    def attention(maps: Tensor) -> list[Tensor]:
        channels, height, width = maps.shape
        sums = [
            added(maps[c, h, w].abs() ** power for c in range(channels)) for h in range(height) for w in range(width)
        ]
        return scaled(sums)

    total = []
    for student, teacher in sized(students, teachers):
        rows = [(attention(s), attention(t)) for s, t in zip(student, teacher, strict=True)]
        squares = [(a - b) ** 2 for s, t in rows for a, b in zip(s, t, strict=True)]
        total.append(mean(squares))
    return added(total)


def nst(students: Sequence[Tensor], teachers: Sequence[Tensor]) -> Tensor:
    """Squared MMD with k(x, y) = (x . y)^2 between normalised channel maps (arXiv:1707.01219, eq. 4 to 6)."""

    def kernel_mean(a: list[list[Tensor]], b: list[list[Tensor]]) -> Tensor:
        return mean([dot(x, y) ** 2 for x in a for y in b])

    total = []
    for student, teacher in sized(students, teachers):
        for s_maps, t_maps in zip(student, teacher, strict=True):
            s, t = ([scaled(list(channel.flatten())) for channel in maps] for maps in (s_maps, t_maps))
            total.append((kernel_mean(t, t) + kernel_mean(s, s) - 2 * kernel_mean(s, t)) / len(student))
    return added(total)


def kdsvd(students: Sequence[Tensor], teachers: Sequence[Tensor], k: int = 1) -> Tensor:
    """Relations of aligned right singular vectors of (C H, W) matrices (arXiv:1807.06819, section 3.2 and 3.3)."""
    total = []
    pairs = sized(students, teachers)
    for n in range(len(students[0])):
        stages = [aligned(student[n], teacher[n], k) for student, teacher in pairs]
        for before, after in pairwise(stages):
            for j in range(len(after)):
                (s_after, t_after), (s_before, t_before) = after[j], before[j]
                for x in range(len(t_after)):
                    for y in range(len(t_before)):
                        s = (-((s_after[x] - s_before[y]) ** 2) / 8).exp()
                        t = (-((t_after[x] - t_before[y]) ** 2) / 8).exp()
                        total.append((s - t) ** 2)
    return added(total) / len(students[0])


def aligned(student: Tensor, teacher: Tensor, k: int) -> list[tuple[Tensor, Tensor]]:
    """For each of the teacher's k vectors: the student's most parallel one, turned to it, and the teacher's."""
    s_vectors = torch.linalg.svd(student.flatten(0, 1), full_matrices=False).Vh[: k + 3]
    _, values, t_vectors = torch.linalg.svd(teacher.detach().flatten(0, 1), full_matrices=False)
    weights = scaled(list(values[:k]))
    found = []
    for weight, vector in zip(weights, t_vectors[:k], strict=True):
        upright = vector if vector.sum() >= 0 else -vector
        cosines = [(s @ upright).item() for s in s_vectors]
        best = max(range(len(cosines)), key=lambda i: abs(cosines[i]))
        found.append((weight * s_vectors[best] * math.copysign(1.0, cosines[best]), weight * upright))
    return found


def hcl(students: Sequence[Tensor], teachers: Sequence[Tensor]) -> Tensor:
    """Mean squares of the map and of its averages, weights halved, over the weights' sum (arXiv:2104.09044, 3.4)."""
    total = []
    for student, teacher in zip(students, teachers, strict=True):
        value, weight, weights = square_distance(student, teacher), 1.0, 1.0
        for level in (4, 2, 1):
            if level < student.shape[2]:
                weight, size = weight / 2, (level, level)
                value = value + weight * square_distance(averaged(student, size), averaged(teacher, size))
                weights += weight
        total.append(value / weights)
    return added(total)


def pkt(student: Tensor, teacher: Tensor) -> Tensor:
    """KL of conditional probabilities from shifted cosines (arXiv:1803.10837, eq. 6 to 9), mean over entries."""
    eps = 1e-7

    def probabilities(features: Tensor) -> list[list[Tensor]]:
        vectors = [[x / (length(list(row)) + eps) for x in row] for row in features]
        kernel = [[(dot(a, b) + 1) / 2 for b in vectors] for a in vectors]
        return [[entry / added(row) for entry in row] for row in kernel]

    p, q = probabilities(teacher), probabilities(student)
    pairs = [(a, b) for p_row, q_row in zip(p, q, strict=True) for a, b in zip(p_row, q_row, strict=True)]
    return mean([a * ((a + eps) / (b + eps)).log() for a, b in pairs])


def rkd(student: Tensor, teacher: Tensor, distance_weight: float = 25.0, angle_weight: float = 50.0) -> Tensor:
    """Huber losses of distances over their mean and of cosines (arXiv:1904.05068, eq. 3 to 8), means over entries."""
    samples = range(len(student))

    def distances(x: Tensor) -> list[Tensor]:
        found = [length(list(x[i] - x[j])) if i != j else zero() for i in samples for j in samples]
        average = added(found) / (len(x) * (len(x) - 1))
        return [distance / average for distance in found]

    def cosine(x: Tensor, i: int, j: int, k: int) -> Tensor:
        if i in (j, k):
            return zero()
        return dot(scaled(list(x[j] - x[i])), scaled(list(x[k] - x[i])))

    distance = mean([huber(s, t) for s, t in zip(distances(student), distances(teacher), strict=True)])
    triplets = [(i, j, k) for i in samples for j in samples for k in samples]
    angle = mean([huber(cosine(student, *triplet), cosine(teacher, *triplet)) for triplet in triplets])
    return distance_weight * distance + angle_weight * angle


def sp(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared Frobenius distance of row-normalised similarities, over N^2 (arXiv:1907.09682, eq. 1 to 4)."""

    def similarities(features: Tensor) -> list[list[Tensor]]:
        rows = [list(row.flatten()) for row in features]
        return [scaled([dot(a, b) for b in rows]) for a in rows]

    pairs = zip(similarities(student), similarities(teacher), strict=True)
    return mean([(a - b) ** 2 for s, t in pairs for a, b in zip(s, t, strict=True)])


def ofd(student: Tensor, teacher: Tensor, margin: Tensor) -> Tensor:
    """Partial distance after a margin ReLU (arXiv:1904.01866, eq. 2 and 4), mean over samples."""
    total = []
    for n, c, h, w in torch.cartesian_prod(*(torch.arange(size) for size in student.shape)).tolist():
        s, t = student[n, c, h, w], torch.maximum(teacher[n, c, h, w], margin[c])
        total.append(zero() if s <= t <= 0 else (s - t) ** 2)
    return added(total) / len(student)


def nd(student: Tensor, teacher: Tensor, direction: Tensor) -> Tensor:
    """1 - <f_s, e_c> / max(|f_s|, |f_t|) (arXiv:2305.17007), mean over samples."""
    total = []
    for s, t, e in zip(student, teacher, direction, strict=True):
        s_length, t_length = length(list(s)), length(list(t))
        total.append(1 - dot(s, e) / (s_length if s_length > t_length else t_length))
    return mean(total)


def vid(mu: Tensor, log_scale: Tensor, teacher: Tensor, eps: float = 1e-5) -> Tensor:
    """Negative log-likelihood of a Gaussian without its constant (arXiv:1904.05835, eq. 5 and 6), mean over entries."""
    ((mu, teacher),) = sized([mu], [teacher])
    total = []
    for n, c, h, w in torch.cartesian_prod(*(torch.arange(size) for size in mu.shape)).tolist():
        variance = (1 + log_scale[c].exp()).log() + eps
        total.append((teacher[n, c, h, w] - mu[n, c, h, w]) ** 2 / (2 * variance) + variance.sqrt().log())
    return mean(total)


def nce(positive: Tensor, negatives: Tensor, size: int, eps: float = 1e-7) -> Tensor:
    """-log h of the pair and -log(1 - h) of strangers, h = P / (P + K/M) (arXiv:1910.10699, eq. 9 and 18)."""
    total = []
    noise = negatives.shape[1] / size
    for own, strangers in zip(positive.exp(), negatives.exp(), strict=True):
        total.append(-(own / (own + noise + eps)).log())
        total += [-(noise / (stranger + noise + eps)).log() for stranger in strangers]
    return added(total) / len(positive)


def regions(maps: Tensor, scales: Sequence[int]) -> Tensor:
    """Means over the cells of s x s grids, (N, D, sum of s^2); the sizes must divide."""
    found = [averaged(maps, (scale, scale)).flatten(2) for scale in scales]
    return torch.cat(found, dim=2)


def sdd(losses: Tensor, teacher: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Losses of regions where the teacher is as right as on the whole, and of others (arXiv:2403.13512), over N R."""
    parts: tuple[list[Tensor], list[Tensor]] = ([], [])
    for values, logits, t in zip(losses, teacher, target.tolist(), strict=True):
        right = [int(region.argmax()) == t for region in logits.T]
        for value, verdict in zip(values, right, strict=True):
            parts[verdict != right[0]].append(value)
    return added(parts[0]) / losses.numel(), added(parts[1]) / losses.numel()


def zero() -> Tensor:
    return torch.zeros((), dtype=torch.float64)


def mean(values: Sequence[Tensor]) -> Tensor:
    return added(values) / len(values)


def dot(a: Iterable[Tensor], b: Iterable[Tensor]) -> Tensor:
    return added(x * y for x, y in zip(a, b, strict=True))


def length(vector: list[Tensor]) -> Tensor:
    return dot(vector, vector).sqrt()


def scaled(vector: list[Tensor]) -> list[Tensor]:
    """To length 1."""
    norm = length(vector)
    return [x / norm for x in vector]


def huber(a: Tensor, b: Tensor) -> Tensor:
    difference = (a - b).abs()
    return difference**2 / 2 if difference <= 1 else difference - 0.5


def square_distance(a: Tensor, b: Tensor) -> Tensor:
    return mean([(x - y) ** 2 for x, y in zip(a.flatten(), b.flatten(), strict=True)])


def sized(students: Sequence[Tensor], teachers: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Pairs of maps with the larger averaged to the smaller."""
    found = []
    for student, teacher in zip(students, teachers, strict=True):
        size = min(student.shape[2], teacher.shape[2]), min(student.shape[3], teacher.shape[3])
        found.append((averaged(student, size), averaged(teacher, size)))
    return found


def averaged(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Means over equal blocks; the size must divide."""
    height, width = maps.shape[2] // size[0], maps.shape[3] // size[1]
    blocks = [
        [
            maps[:, :, i * height : (i + 1) * height, j * width : (j + 1) * width].mean(dim=(2, 3))
            for j in range(size[1])
        ]
        for i in range(size[0])
    ]
    return torch.stack([torch.stack(row, dim=-1) for row in blocks], dim=-2)
