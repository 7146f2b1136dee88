"""A distiller that is given what its teacher says."""

import pytest
import torch
from torch import Tensor, nn

from decant import Distiller
from decant.interfaces import Outputs
from engine.toy_methods import CLASSES, TwoViews, batch, hinting


class Silent(nn.Module):
    """A teacher that must not be run."""

    def forward(self, images: Tensor) -> Tensor:
        raise AssertionError("the teacher was run")


@pytest.mark.parametrize("method", ["kd", "dkd"])
def test_a_teacher_that_has_spoken_is_not_run(student: nn.Module, teacher: nn.Module, method: str) -> None:
    images, target = batch()
    live = Distiller(student, teacher, method).eval()(images, target, epoch=30.0)
    with torch.no_grad():
        outputs = Outputs(teacher(images))
    silent = Distiller(student, Silent(), method).eval()
    given = silent(images, target, epoch=30.0, teacher_outputs=outputs)
    assert torch.equal(given.loss, live.loss)
    assert given.terms.keys() == live.terms.keys()
    for distilled in (live, given):
        distilled.loss.backward()
    with pytest.raises(AssertionError, match="the teacher was run"):
        silent(images, target, epoch=30.0)


def test_each_view_has_outputs_of_its_own(student: nn.Module, teacher: nn.Module) -> None:
    views = (batch()[0], -batch()[0])
    live = Distiller(student, teacher, TwoViews()).eval()(views)
    with torch.no_grad():
        first, second = (Outputs(teacher(view)) for view in views)
    silent = Distiller(student, Silent(), TwoViews()).eval()
    torch.testing.assert_close(
        silent(views, teacher_outputs=Outputs(first.logits, more=(second,))).terms, live.terms, rtol=0, atol=0
    )
    with pytest.raises(ValueError, match=r"teacher_outputs have \[16\] rows, one number per view; the images have \["):
        silent(views, teacher_outputs=first)


def test_outputs_that_do_not_fit_are_refused(student: nn.Module, teacher: nn.Module) -> None:
    images, target = batch()
    rows = Outputs(torch.zeros(len(images), CLASSES))
    with pytest.raises(
        ValueError, match=r"Hint learns from the teacher's features \['hidden'\], which teacher_outputs"
    ):
        hinting(student, teacher)(images, target, teacher_outputs=rows)
    with pytest.raises(
        ValueError, match=r"teacher_outputs have \[16\] rows, one number per view; the images have \[15"
    ):
        Distiller(student, teacher, "kd")(images[1:], target[1:], teacher_outputs=rows)
    with pytest.raises(ValueError, match="Supervised learns from no teacher, but teacher_outputs were given"):
        Distiller(student, teacher, "supervised")(images, target, teacher_outputs=rows)


def test_features_may_be_given_too(student: nn.Module, teacher: nn.Sequential) -> None:
    images, target = batch()
    distiller = hinting(student, teacher).eval()
    with torch.no_grad():
        outputs = Outputs(teacher(images), {"hidden": teacher[:3](images)})
    given = distiller(images, target, teacher_outputs=outputs)
    assert torch.equal(given.loss, distiller(images, target).loss)
