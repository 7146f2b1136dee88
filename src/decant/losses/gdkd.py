"""Generalised decoupled distillation: the classes are split by the teacher's ranking instead of the label."""

from typing import NamedTuple

import torch
from torch import Tensor

from decant.losses.arguments import check_logits, checked_mask, working_logits, working_temperature
from decant.losses.divergence import Odds, Softmax, binary_kl, kl, softmax
from decant.losses.reduction import Reduction, check_reduction, leave_out, reduce


class GDKDTerms(NamedTuple):
    """The three parts of generalised decoupled distillation, in T^2 times nats, each a scalar or (N, d1, ...).

    Attributes:
        buckets: how much goes to the teacher's k first classes, and how much to the rest?
        top: how does it divide among the k first?
        rest: how does it divide among the rest?
    """

    buckets: Tensor
    top: Tensor
    rest: Tensor


def gdkd_loss(
    student: Tensor,
    teacher: Tensor,
    *,
    bucket_weight: float = 1.0,
    top_weight: float = 2.0,
    rest_weight: float = 8.0,
    k: int = 5,
    temperature: float | Tensor = 4.0,
    reduction: Reduction = "mean",
    mask: Tensor | None = None,
) -> Tensor:
    r"""Generalised decoupled knowledge distillation: buckets, the teacher's k first classes, and the rest.

    .. math:: \mathrm{GDKD} = T^2 \left( w_0 \, \mathrm{KL}(b(p) \,\|\, b(q))
        + w_1 \, \mathrm{KL}(\hat p^{\,\mathrm{top}} \,\|\, \hat q^{\,\mathrm{top}})
        + w_2 \, \mathrm{KL}(\hat p^{\,\mathrm{rest}} \,\|\, \hat q^{\,\mathrm{rest}}) \right)

    with p and q the softmax of the teacher's and the student's logits over T, b(p) = (P, 1 - P) for the probability P
    of the teacher's k first classes together, and p^ the probabilities of one part, divided by their sum. Classical
    distillation is the same with weights 1, P and 1 - P; with k 1 it is :func:`dkd_loss` without a target, and w_1 has
    nothing to weigh.

    Source: Zheng, Cheng, *Rethinking Decoupled Knowledge Distillation: A Predictive Distribution Perspective*,
    arXiv:2512.04625.

    Args:
        student: logits (N, C) or (N, C, d1, ...) of any floating type; at least 2 classes.
        teacher: logits of the same shape; never receives a gradient. Ranks the classes; no label is needed.
        bucket_weight: w_0.
        top_weight: w_1.
        rest_weight: w_2.
        k: classes in the first part, from 1 to C - 1.
        temperature: T > 0: a float, or a tensor as in :func:`kd_loss`.
        reduction: "mean" over the positions that count (0 if none does), "sum", or "none" for (N, d1, ...).
        mask: boolean (N, d1, ...), true where a position counts; None counts all.

    Returns:
        T^2 times nats, in float32, or float64 if either network's logits are.

    Raises:
        TypeError: logits that are not floating point, a k that is not whole, a mask that is not boolean.
        ValueError: shapes that do not fit, fewer than 2 classes, a k out of range, a temperature that is not
            positive, an unknown reduction.

    Example:
        >>> import torch
        >>> student, teacher = torch.tensor([[0.0, 0.0, 0.0, 0.0]]), torch.tensor([[4.0, 2.0, 0.0, -4.0]])
        >>> round(gdkd_loss(student, teacher, k=2).item(), 4)
        17.4709
    """
    buckets, top, rest = gdkd_terms(student, teacher, k=k, temperature=temperature, reduction=reduction, mask=mask)
    return bucket_weight * buckets + top_weight * top + rest_weight * rest


def gdkd_terms(
    student: Tensor,
    teacher: Tensor,
    *,
    k: int = 5,
    temperature: float | Tensor = 4.0,
    reduction: Reduction = "mean",
    mask: Tensor | None = None,
) -> GDKDTerms:
    """The three parts by themselves, to be logged and weighted by the caller; the rest as in :func:`gdkd_loss`.

    Example:
        >>> import torch
        >>> student, teacher = torch.tensor([[0.0, 0.0, 0.0, 0.0]]), torch.tensor([[4.0, 2.0, 0.0, -4.0]])
        >>> [round(term.item(), 4) for term in gdkd_terms(student, teacher, k=2)]
        [2.3005, 0.4848, 1.7751]
    """
    check_reduction(reduction)
    check_logits(student, teacher)
    if isinstance(k, bool) or not isinstance(k, int):
        raise TypeError(f"k must be a whole number of classes, got {k!r}")
    if not 0 < k < student.shape[1]:
        raise ValueError(
            f"k is the number of classes in the first part and leaves some for the second: from 1 to "
            f"{student.shape[1] - 1} for logits {tuple(student.shape)}, got {k}"
        )
    if mask is not None:
        mask = checked_mask(mask, student)
    student, teacher = working_logits(student, teacher)
    temperature = working_temperature(temperature, student)
    student, teacher = leave_out(student, mask), leave_out(teacher, mask)
    in_top = torch.zeros_like(teacher, dtype=torch.bool).scatter_(1, teacher.topk(k, dim=1).indices, True)
    p, q = (_Parts.of(logits, in_top, temperature) for logits in (teacher, student))
    terms = (binary_kl(p.odds, q.odds), kl(p.top, q.top), kl(p.rest, q.rest))
    return GDKDTerms(*(reduce(temperature**2 * term, reduction, mask) for term in terms))


class _Parts(NamedTuple):
    """One network's softmax in two parts, and the odds of the first against the second."""

    top: Softmax
    rest: Softmax
    odds: Odds

    @classmethod
    def of(cls, logits: Tensor, in_top: Tensor, temperature: float | Tensor) -> "_Parts":
        top, rest = (softmax(logits, temperature, without=others) for others in (~in_top, in_top))
        # Each part's weights are measured from its own largest logit; between the two lies the lead.
        highest = [logits.detach().masked_fill(others, -torch.inf).amax(dim=1) for others in (~in_top, in_top)]
        lead = (highest[0] - highest[1]) / temperature
        return cls(top, rest, Odds(lead + top.total.log(), rest.total))
