"""Every loss of features with small inputs that it takes, and the same loss from the papers' loops."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

import feature_references as references
from decant import losses

Shape = tuple[int, ...]
Loss = Callable[[Sequence[Tensor], Sequence[Tensor]], Tensor]


@dataclass(frozen=True)
class Case:
    """A loss as a function of lists of student's and teacher's features, the loop that it equals, and its shapes."""

    loss: Loss
    reference: Loss
    students: tuple[Shape, ...]
    teachers: tuple[Shape, ...]

    def features(self, dtype: torch.dtype = torch.float64) -> tuple[list[Tensor], list[Tensor]]:
        """The same features in every type, up to rounding; the student's ask for gradients."""
        generator = torch.Generator().manual_seed(7)

        def drawn(shape: Shape) -> Tensor:
            return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

        return [drawn(shape).requires_grad_() for shape in self.students], [drawn(shape) for shape in self.teachers]


def on_stages(loss: Callable[..., Tensor], reference: Callable[..., Tensor], **settings: object) -> tuple[Loss, Loss]:
    return partial(loss, **settings), partial(reference, **settings)


def on_one(loss: Callable[..., Tensor], reference: Callable[..., Tensor], **settings: object) -> tuple[Loss, Loss]:
    return (
        lambda students, teachers: loss(students[0], teachers[0], **settings),
        lambda students, teachers: reference(students[0], teachers[0], **settings),
    )


def vid(function: Callable[..., Tensor]) -> Loss:
    return lambda students, teachers: function(students[0], students[1], teachers[0])


def nce(function: Callable[..., Tensor]) -> Loss:
    return lambda students, _: function(students[0], students[1], size=9)


EQUAL = ((3, 2, 4, 4), (3, 3, 2, 2))
WIDER = ((3, 3, 4, 4), (3, 5, 2, 2))
LARGER = ((3, 3, 8, 4), (3, 5, 4, 2))
DEEP = ((2, 6, 2, 2),)
MARGIN = torch.tensor([-0.2, -0.7, -1.1], dtype=torch.float64)
DIRECTION = torch.tensor([[0, 0, 1], [1, 0, 0], [0.6, 0, -0.8], [0, 1, 0], [0.3, 0, 0]], dtype=torch.float64)

CASES: dict[str, Case] = {
    "at": Case(*on_stages(losses.at_loss, references.at), EQUAL, WIDER),
    "at, other sizes": Case(*on_stages(losses.at_loss, references.at), EQUAL, LARGER),
    "at, larger student": Case(*on_stages(losses.at_loss, references.at), LARGER, EQUAL),
    "at, power 3": Case(*on_stages(losses.at_loss, references.at, power=3), EQUAL, WIDER),
    "nst": Case(*on_stages(losses.nst_loss, references.nst), EQUAL, WIDER),
    "nst, other sizes": Case(*on_stages(losses.nst_loss, references.nst), EQUAL, LARGER),
    "nst, many channels": Case(*on_stages(losses.nst_loss, references.nst), DEEP, ((2, 5, 2, 2),)),
    "kdsvd": Case(
        *on_stages(losses.kdsvd_loss, references.kdsvd), ((2, 3, 5, 6), (2, 4, 4, 5)), ((2, 2, 5, 6), (2, 5, 4, 5))
    ),
    "kdsvd, k 2": Case(*on_stages(losses.kdsvd_loss, references.kdsvd, k=2), WIDER, WIDER),
    "kdsvd, other sizes": Case(*on_stages(losses.kdsvd_loss, references.kdsvd), EQUAL, LARGER),
    "hcl": Case(*on_stages(losses.hcl_loss, references.hcl), ((2, 2, 8, 8), *EQUAL), ((2, 2, 8, 8), *EQUAL)),
    "hcl, pooled": Case(*on_stages(losses.hcl_loss, references.hcl), ((2, 5, 1, 1),), ((2, 5, 1, 1),)),
    "pkt": Case(*on_one(losses.pkt_loss, references.pkt), ((4, 3),), ((4, 5),)),
    "rkd": Case(*on_one(losses.rkd_loss, references.rkd), ((4, 3),), ((4, 5),)),
    "rkd, other weights": Case(
        *on_one(losses.rkd_loss, references.rkd, distance_weight=1.0, angle_weight=0.5), ((4, 1),), ((4, 5),)
    ),
    "sp": Case(*on_one(losses.sp_loss, references.sp), ((4, 3),), ((4, 5),)),
    "sp, maps": Case(*on_one(losses.sp_loss, references.sp), ((4, 2, 2, 2),), ((4, 3, 3),)),
    "ofd": Case(*on_one(losses.ofd_loss, references.ofd, margin=MARGIN), ((2, 3, 4, 4),), ((2, 3, 4, 4),)),
    "nd": Case(*on_one(losses.nd_loss, references.nd, direction=DIRECTION), ((5, 3),), ((5, 3),)),
    "vid": Case(vid(losses.vid_loss), vid(references.vid), ((2, 3, 2, 2), (3,)), ((2, 3, 4, 4),)),
    "nce": Case(nce(losses.nce_loss), nce(references.nce), ((4,), (4, 6)), ()),
}
"""By the loss's name up to the comma."""
