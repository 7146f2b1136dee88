"""Multi-level logit distillation: answers at several temperatures, and how classes and samples relate in a batch."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from decant.losses.arguments import check_batch, check_views, working_logits, working_temperature
from decant.losses.divergence import kl, softmax
from decant.losses.features import added, full_precision

TEMPERATURES = (2.0, 3.0, 4.0, 5.0, 6.0)


class MLKDTerms(NamedTuple):
    """The parts of the loss, each a scalar and a sum over the temperatures.

    Attributes:
        weak: classical distillation on the weak view, in T^2 times nats.
        strong: classical distillation on the strong view, in T^2 times nats.
        classes: squared distance of the class correlations on the weak view, over the number of classes.
        samples: squared distance of the sample correlations on the weak view, over the number of samples.
    """

    weak: Tensor
    strong: Tensor
    classes: Tensor
    samples: Tensor


def mlkd_loss(
    students: Sequence[Tensor],
    teachers: Sequence[Tensor],
    *,
    weak_weight: float = 0.45,
    strong_weight: float = 0.9,
    class_weight: float = 0.45,
    sample_weight: float = 0.45,
    temperatures: Sequence[float] = TEMPERATURES,
) -> Tensor:
    r"""Multi-level logit distillation: predictions of samples, and correlations of classes and of samples.

    .. math:: \mathrm{MLKD} = \sum_T \Big( w_1 \mathrm{KD}_T(p_w, q_w) + w_2 \mathrm{KD}_T(p_s, q_s)
        + \frac{w_3}{C} \| P^\top P - Q^\top Q \|_F^2 + \frac{w_4}{N} \| P P^\top - Q Q^\top \|_F^2 \Big)

    with KD_T = T^2 KL as in :func:`kd_loss`, p and q the teacher's and the student's softmax over T on the weak (w) and
    the strong (s) view, and P and Q all of them on the weak view as matrices (N, C).

    Source: Jin, Wang, Lin, *Multi-Level Logit Distillation*, CVPR 2023. Of their code, this is what it comes to: its
    masks of unsure samples and rare classes are multiplied with values that are averages already, so they are a factor
    1/2 of the weights of the weak view. Unlike there, the strong view has all temperatures: the code takes the weak one
    in its place at T 2 and 6.

    Args:
        students: logits (N, C) on the weak and on the strong view, of any floating type; at least 2 classes. The value
            depends on the whole batch.
        teachers: the same of the teacher; never receive a gradient.
        weak_weight: w_1.
        strong_weight: w_2.
        class_weight: w_3.
        sample_weight: w_4.
        temperatures: the values of T, at least one.

    Returns:
        A scalar in float32, or float64 if any logits are.

    Raises:
        TypeError: logits that are not floating point, a temperature that is no number.
        ValueError: not two views, shapes that do not fit or are not (N, C), fewer than 2 classes, no sample, no
            temperature or one that is not positive.

    Example:
        >>> import torch
        >>> students, teachers = (torch.zeros(2, 2),) * 2, (4 * torch.eye(2), 2 * torch.eye(2))
        >>> round(mlkd_loss(students, teachers).item(), 4)
        6.1921
    """
    weak, strong, classes, samples = mlkd_terms(students, teachers, temperatures=temperatures)
    return weak_weight * weak + strong_weight * strong + class_weight * classes + sample_weight * samples


def mlkd_terms(
    students: Sequence[Tensor], teachers: Sequence[Tensor], *, temperatures: Sequence[float] = TEMPERATURES
) -> MLKDTerms:
    """The parts apart, to be logged and weighted by the caller; everything else as in :func:`mlkd_loss`.

    Example:
        >>> import torch
        >>> students, teachers = (torch.zeros(2, 2),) * 2, (4 * torch.eye(2), 2 * torch.eye(2))
        >>> [round(term.item(), 4) for term in mlkd_terms(students, teachers)]
        [8.4605, 2.3854, 0.2645, 0.2645]
    """
    check_views(students, teachers)
    check_batch(students[0], teachers[0])
    if not temperatures:
        raise ValueError("temperatures must be at least one number, got none")
    for temperature in temperatures:
        if isinstance(temperature, Tensor):
            raise TypeError("temperatures must be numbers: a correlation mixes the samples, which share one")
        working_temperature(temperature, students[0])
    (weak, goal_weak), (strong, goal_strong) = (
        working_logits(student, teacher) for student, teacher in zip(students, teachers, strict=True)
    )
    by_temperature = []
    with full_precision(weak):
        for temperature in temperatures:
            q, p = softmax(weak, temperature), softmax(goal_weak, temperature)
            on_strong = kl(softmax(goal_strong, temperature), softmax(strong, temperature))
            of_student, of_teacher = (made.weights / made.total.unsqueeze(1) for made in (q, p))
            classes = of_student.mT @ of_student - of_teacher.mT @ of_teacher
            samples = of_student @ of_student.mT - of_teacher @ of_teacher.mT
            by_temperature.append(
                MLKDTerms(
                    temperature**2 * kl(p, q).mean(),
                    temperature**2 * on_strong.mean(),
                    classes.square().sum() / weak.shape[1],
                    samples.square().sum() / weak.shape[0],
                )
            )
    return MLKDTerms(*(added(terms) for terms in zip(*by_temperature, strict=True)))
