"""Losses of regions: what a region is, and which of them say something else than the whole."""

import pytest
import torch
from torch import Tensor

import feature_references as references
from decant.losses import region_means, sdd_terms

N, C, D = 3, 4, 5
SCALES = (1, 2, 4)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_regions_are_the_cells_of_grids() -> None:
    maps = drawn(N, D, 8, 4)
    torch.testing.assert_close(region_means(maps, SCALES), references.regions(maps, SCALES))
    assert region_means(maps).shape == (N, D, 21)
    assert torch.autograd.gradcheck(lambda x: region_means(x, SCALES), drawn(1, 2, 4, 4).requires_grad_())


def test_a_map_smaller_than_a_grid_repeats_its_positions() -> None:
    maps = drawn(N, D, 2, 2)
    expected = maps.repeat_interleave(2, 2).repeat_interleave(2, 3).flatten(2)
    torch.testing.assert_close(region_means(maps, (4,)), expected)


def test_a_region_counts_where_the_loops_say() -> None:
    losses, teacher, target = drawn(N, 21).requires_grad_(), drawn(N, C, 21, seed=1), torch.tensor([2, 0, 3])
    for ours, theirs in zip(sdd_terms(losses, teacher, target), references.sdd(losses, teacher, target), strict=True):
        assert ours != 0
        torch.testing.assert_close(ours, theirs)
        gradients = (torch.autograd.grad(value, losses, retain_graph=True) for value in (ours, theirs))
        torch.testing.assert_close(*gradients)
    assert torch.autograd.gradcheck(lambda x: sdd_terms(x, teacher, target), losses)


@pytest.mark.parametrize(("target", "differing"), [(0, [1]), (1, [1]), (2, [])])
def test_right_for_wrong_and_wrong_for_right_are_complementary(target: int, differing: list[int]) -> None:
    teacher = torch.tensor([[[9.0, 0.0, 9.0], [0.0, 9.0, 0.0], [1.0, 1.0, 1.0]]])  # chooses 0, 1, 0
    losses = torch.tensor([[1.0, 10.0, 100.0]])
    expected = losses[0, differing].sum() / 3
    consistent, complementary = sdd_terms(losses, teacher, torch.tensor([target]))
    torch.testing.assert_close(complementary, expected)
    torch.testing.assert_close(consistent, 37.0 - expected)


def test_without_labels_the_teachers_choice_on_the_whole_is_right() -> None:
    losses, teacher = drawn(N, 21), drawn(N, C, 21, seed=1)
    own = teacher[..., 0].argmax(dim=1)
    torch.testing.assert_close(sdd_terms(losses, teacher, None), sdd_terms(losses, teacher, own))
    mixed = 0.6 * torch.eye(C)[own] + 0.4 * torch.eye(C)[(own + 1) % C]
    torch.testing.assert_close(sdd_terms(losses, teacher, mixed), sdd_terms(losses, teacher, own))


def test_shapes_that_do_not_fit_are_named() -> None:
    with pytest.raises(
        ValueError, match=r"regions are of maps \(N, D, H, W\) of a floating type, got torch\.float32 \(2,"
    ):
        region_means(torch.zeros(2, 3))
    with pytest.raises(ValueError, match=r"one loss \(N, R\) for .* wanted, got \(3, 20\) and \(3, 4, 21\)"):
        sdd_terms(drawn(3, 20), drawn(3, 4, 21), None)
    with pytest.raises(ValueError, match=r"target must have one class per sample, \(3,\), got \(2,\)"):
        sdd_terms(drawn(3, 21), drawn(3, 4, 21), torch.tensor([0, 1]))
