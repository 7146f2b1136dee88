"""Which grid the tokens of a feature make."""

import pytest
from torch import nn

from decant.interfaces import TokenGrid
from decant.models import Resighted
from decant.models.tokens import token_grid
from decant.models.unlike import Sight

SQUARE = (32, 32)


def telling(count: object) -> nn.Module:
    """A network of two levels whose inner one says how many tokens stand before the grid."""
    inner = nn.Sequential(nn.Identity())
    inner.num_prefix_tokens = count  # type: ignore[assignment]  # as networks of timm have it
    return nn.Sequential(inner)


@pytest.mark.parametrize(
    ("tokens", "grid"),
    [
        (16, TokenGrid(0, 4, 4)),
        (17, TokenGrid(1, 4, 4)),
        (198, TokenGrid(2, 14, 14)),
        (201, TokenGrid(5, 14, 14)),
        (24, TokenGrid(8, 4, 4)),
        (205, None),
        (1, TokenGrid(0, 1, 1)),
    ],
)
def test_without_a_word_the_fewest_tokens_are_left_out(tokens: int, grid: TokenGrid | None) -> None:
    assert token_grid(nn.Sequential(nn.Identity()), "0", tokens, SQUARE) == grid


@pytest.mark.parametrize("side", range(4, 40))
def test_from_four_by_four_on_any_number_up_to_eight_is_told_rightly(side: int) -> None:
    for prefix in range(9):
        assert token_grid(nn.Identity(), "", side**2 + prefix, SQUARE) == TokenGrid(prefix, side, side)


@pytest.mark.parametrize(
    ("count", "tokens", "grid"),
    [
        (1, 17, TokenGrid(1, 4, 4)),
        (8, 17, TokenGrid(8, 3, 3)),
        (20, 36, TokenGrid(20, 4, 4)),
        (1, 16, TokenGrid(0, 4, 4)),  # where they have not joined yet
        (1, 18, None),  # two more than a grid, though one was told
        (0, 17, None),
        (None, 18, TokenGrid(2, 4, 4)),
        (lambda: 1, 18, TokenGrid(2, 4, 4)),  # something else that has this name
    ],
)
def test_what_a_network_says_of_itself_decides(count: object, tokens: int, grid: TokenGrid | None) -> None:
    assert token_grid(telling(count), "0.0", tokens, SQUARE) == grid


def test_the_innermost_word_counts() -> None:
    network = telling(5)
    network.num_prefix_tokens = 1  # type: ignore[assignment]  # as networks of timm have it
    assert token_grid(network, "0.0", 21, SQUARE) == TokenGrid(5, 4, 4)
    assert token_grid(network, "", 17, SQUARE) == TokenGrid(1, 4, 4)


@pytest.mark.parametrize(
    ("images", "tokens", "grid"),
    [
        ((32, 64), 9, TokenGrid(1, 2, 4)),
        ((64, 32), 9, TokenGrid(1, 4, 2)),
        ((48, 32), 24, TokenGrid(0, 6, 4)),
        ((32, 96), 13, TokenGrid(1, 2, 6)),
        ((30, 31), 26, None),
    ],
)
def test_the_grid_has_the_shape_of_the_images(images: tuple[int, int], tokens: int, grid: TokenGrid | None) -> None:
    assert token_grid(nn.Identity(), "", tokens, images) == grid


def test_images_that_were_resized_on_the_way_have_their_new_shape() -> None:
    here, there = (Sight(size, (0.5,), (0.5,)) for size in ((32, 64), (48, 48)))
    network = Resighted(nn.Sequential(nn.Identity()), here, there)
    assert token_grid(network, "network.0", 10, here.size) == TokenGrid(1, 3, 3)
    same = Resighted(nn.Sequential(nn.Identity()), here, here)
    assert token_grid(same, "network.0", 9, here.size) == TokenGrid(1, 2, 4)
