"""The two halves of decoupled distillation per position, as plain differentiable equations."""

from typing import NamedTuple

from torch import Tensor

from decant.losses.divergence import Odds, binary_kl, is_class, kl, softmax, sum_of_others


class DKDTerms(NamedTuple):
    """The two halves of decoupled distillation, in T^2 times nats, each a scalar or (N, d1, ...).

    Attributes:
        tckd: target-class distillation: how sure is the teacher of the target?
        nckd: non-target-class distillation: how does it rank the other classes?
    """

    tckd: Tensor
    nckd: Tensor


def terms_for_class(student: Tensor, teacher: Tensor, target: Tensor, temperature: float | Tensor) -> DKDTerms:
    """Both divergences, in nats per position (N, ...), for class indices (N, ...)."""
    is_target = is_class(target, student.shape[1])
    p, q = (softmax(logits, temperature, without=is_target) for logits in (teacher, student))
    p_odds, q_odds = (Odds(s.scaled.gather(1, target.unsqueeze(1)).squeeze(1), others=s.total) for s in (p, q))
    return DKDTerms(tckd=binary_kl(p_odds, q_odds), nckd=kl(p, q))


def expected_terms(student: Tensor, teacher: Tensor, probabilities: Tensor, temperature: float | Tensor) -> DKDTerms:
    """The expectation of ``terms_for_class`` under probabilities (N, C, ...), in O(C) per position.

    Leaving class t out of a sum is harmless unless t outweighs all the rest, which can happen only at a network's top
    class. Those two (often one) are computed by themselves; this also lets all others share one shift per network.
    """
    classes = student.shape[1]
    teacher_top, student_top = teacher.argmax(dim=1), student.argmax(dim=1)
    at_teacher_top = terms_for_class(student, teacher, teacher_top, temperature)
    at_student_top = terms_for_class(student, teacher, student_top, temperature)
    teacher_top_share = probabilities.gather(1, teacher_top.unsqueeze(1)).squeeze(1)
    student_top_share = probabilities.gather(1, student_top.unsqueeze(1)).squeeze(1)
    student_top_share = student_top_share.masked_fill(student_top == teacher_top, 0.0)  # do not count one class twice

    apart = is_class(teacher_top, classes) | is_class(student_top, classes)
    share = probabilities.masked_fill(apart, 0.0)
    p, q = softmax(teacher, temperature), softmax(student, temperature)
    # At classes computed apart the sum may underflow; 1 keeps what is multiplied by their zero share finite.
    p_others, q_others = (sum_of_others(s.weights).masked_fill(apart, 1.0) for s in (p, q))
    tckd = (share * binary_kl(Odds(p.scaled, p_others), Odds(q.scaled, q_others))).sum(dim=1)

    # sum_t share_t KL(p^ || q^ without t), with E_p^[scaled_p - scaled_q] summed over t first: how often class i is
    # met as an "other" class is a sum of positive numbers, whereas leaving class t out of a finished expectation
    # would cancel wherever the student rules t out.
    met_as_other = sum_of_others(share / p_others)
    nckd = (met_as_other * p.weights * (p.scaled - q.scaled) + share * (q_others / p_others).log()).sum(dim=1)

    return DKDTerms(
        tckd=tckd + teacher_top_share * at_teacher_top.tckd + student_top_share * at_student_top.tckd,
        nckd=nckd + teacher_top_share * at_teacher_top.nckd + student_top_share * at_student_top.nckd,
    )
