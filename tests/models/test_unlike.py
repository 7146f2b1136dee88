"""Teachers unlike their students: the same view in their own pixels, classes by name, several as one."""

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from decant.models import (
    AveragedTeachers,
    FoldedClasses,
    Resighted,
    Sight,
    Tapped,
    create,
    fold_batchnorm,
    folded_classes,
    map_classes,
    resighted,
)

HERE = Sight((16, 16), (0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
THERE = Sight((16, 16), (0.1, 0.2, 0.3), (0.5, 0.6, 0.7))


def pixels(size: int = 16) -> Tensor:
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))


def normalised(images: Tensor, sight: Sight) -> Tensor:
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (sight.mean, sight.std))
    images = (images - mean) / std
    return images.flip(1) if sight.channels == "bgr" else images


@pytest.mark.parametrize("here", [HERE, Sight(HERE.size, HERE.mean, HERE.std, channels="bgr")])
@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_a_view_is_what_the_teacher_would_have_been_shown(here: Sight, order: Any) -> None:
    there = Sight(THERE.size, THERE.mean, THERE.std, channels=order)
    shown = resighted(nn.Identity(), here, there)(normalised(pixels(), here))
    assert torch.allclose(shown, normalised(pixels(), there), atol=1e-5)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(8, 8), (24, 20)])
def test_another_size_is_a_resize_before_normalisation(interpolation: Any, size: tuple[int, int]) -> None:
    there = Sight(size, THERE.mean, THERE.std, interpolation)
    shown = resighted(nn.Identity(), HERE, there)(normalised(pixels(), HERE))
    resized = F.interpolate(pixels(), size, mode=interpolation, antialias=True, align_corners=False)
    assert torch.allclose(shown, normalised(resized, there), atol=1e-5)


def test_an_equal_teacher_is_left_alone() -> None:
    network = nn.Identity()
    assert resighted(network, HERE, HERE) is network
    assert resighted(network, HERE, Sight(HERE.size, HERE.mean, HERE.std, "bicubic")) is network
    assert folded_classes(network, map_classes(["a", "b"], ["a", "b"]), 2) is network
    with pytest.raises(ValueError, match="one number for each channel"):
        Resighted(network, HERE, Sight((16, 16), (0.5,), (0.5,)))


def test_features_pass_and_batchnorm_still_folds() -> None:
    network = create("digits_teacher", num_classes=4, in_channels=3).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()  # type: ignore[union-attr]
    there = Sight((8, 8), THERE.mean, THERE.std)
    wrapped = folded_classes(resighted(network, HERE, there), map_classes("abcd", "dcba"), 4)
    taps = wrapped.taps
    assert isinstance(taps, dict)
    outputs = Tapped(wrapped, taps)(pixels())
    assert outputs.taps.keys() == network.taps.keys()
    folded = fold_batchnorm(wrapped, pixels())
    assert folded.layers
    assert torch.allclose(folded.network(pixels()), outputs.logits, rtol=1e-3, atol=1e-4)


def test_classes_fold_as_probabilities_do() -> None:
    owner = (2, 0, -1, 2, 1, 2)
    logits = torch.randn(7, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 30
    folded = FoldedClasses(nn.Identity(), owner, classes=3)(logits).softmax(1).numpy()
    for row, probabilities in zip(folded, logits.softmax(1).numpy(), strict=True):
        expected = np.zeros(3)
        for into, probability in zip(owner, probabilities, strict=True):
            if into >= 0:
                expected[into] += probability
        assert np.allclose(row, expected / expected.sum(), atol=1e-12)


def test_folded_logits_are_finite_for_confident_teachers() -> None:
    logits = torch.tensor([[1e4, -1e4, 0.0], [-1e4, -1e4, 1e4]])
    folded = FoldedClasses(nn.Identity(), (0, 0, 1), classes=2)(logits)
    assert folded.tolist() == [[1e4, 0.0], [pytest.approx(-1e4 + math.log(2)), 1e4]]


def test_another_order_is_exact() -> None:
    logits = torch.randn(5, 4)
    ours = folded_classes(nn.Identity(), map_classes(["a", "b", "x", "c"], ["c", "a", "b"]), 3)(logits)
    assert torch.equal(ours, logits[:, [3, 0, 1]])


def test_classes_are_matched_by_name() -> None:
    mapped = map_classes(["tench", "tabby", "tiger cat", "bus"], ["cat", "tench"], {"tabby": "cat", "tiger cat": "cat"})
    assert mapped.owner == (1, 0, 0, -1)
    assert mapped.unused == ("bus",)


NAMES = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=8, unique=True)


@given(teacher=NAMES, student=NAMES, pairs=st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from("abcdefgh")))
def test_any_two_lists_of_classes_are_mapped_by_name_or_refused(
    teacher: list[str], student: list[str], pairs: dict[str, str]
) -> None:
    called = [pairs.get(name, name) for name in teacher]
    strangers = not set(pairs) <= set(teacher) or not set(pairs.values()) <= set(student)
    if strangers or not set(student) <= set(called):
        with pytest.raises(ValueError, match=r"there is no |the teacher has no class "):
            map_classes(teacher, student, pairs)
        return
    mapped = map_classes(teacher, student, pairs)
    assert mapped.unused == tuple(name for name, new in zip(teacher, called, strict=True) if new not in student)
    probabilities = torch.rand(3, len(teacher), dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.1
    folded = folded_classes(nn.Identity(), mapped, len(student))(probabilities.log()).softmax(1)
    sums = torch.stack([probabilities[:, [new == name for new in called]].sum(1) for name in student], dim=1)
    assert torch.allclose(folded, sums / sums.sum(1, keepdim=True), atol=1e-12)


@pytest.mark.parametrize(
    ("teacher", "student", "rename", "message"),
    [
        (["cats", "dog"], ["cat", "dog"], {}, r"the teacher has no class 'cat' \(1 of 2\).*nearest to 'cat': cats"),
        (["cat"], ["cat"], {"lion": "cat"}, "there is no 'lion'"),
        (["cat"], ["cat"], {"cat": "lion"}, "there is no 'lion'"),
        (["cat"], ["cat", "cat"], {}, "must have different names"),
    ],
)
def test_classes_that_cannot_be_matched(teacher: Any, student: Any, rename: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        map_classes(teacher, student, rename)


def test_a_class_without_a_source_is_refused() -> None:
    with pytest.raises(ValueError, match="each of 3 classes needs one"):
        FoldedClasses(nn.Identity(), (0, 1), classes=3)


def test_several_teachers_are_averaged_in_probability() -> None:
    first, second = nn.Linear(3, 4), nn.Linear(3, 4)
    images = torch.randn(6, 3)
    averaged = AveragedTeachers([first, second], [1.0, 3.0])(images)
    expected = 0.25 * first(images).softmax(1) + 0.75 * second(images).softmax(1)
    assert torch.allclose(averaged.softmax(1), expected, atol=1e-6)
    assert torch.allclose(averaged.exp().sum(1), torch.ones(6), atol=1e-6)
    for weights in ([1.0], [1.0, 0.0]):
        with pytest.raises(ValueError, match="one weight above 0 for each of 2 teachers"):
            AveragedTeachers([first, second], weights)
