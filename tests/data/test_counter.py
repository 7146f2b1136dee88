"""The counter hash is SplitMix64, and its draws look random between any two neighbouring counters."""

import itertools

import pytest
import torch
from scipy.stats import chi2_contingency, chisquare
from torch import Tensor

from decant.data.counter import MAX_SEED, counter_hash, draw_below

MASK = 2**64 - 1


def splitmix(state: int) -> int:
    """SplitMix64's output function on Python's own integers, as unsigned 64 bits."""
    state &= MASK
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & MASK
    return state ^ (state >> 31)


def chained(*words: int) -> int:
    """The hash of ``words`` by Python's own integers, as unsigned 64 bits."""
    state = 0
    for word in words:
        state = splitmix(state + 0x9E3779B97F4A7C15 * (word + 1))
    return state


def test_known_outputs() -> None:
    # The published first outputs of SplitMix64 with seed 0.
    expected = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F, 0xF88BB8A8724C81EC]
    assert [value & MASK for value in counter_hash(torch.arange(4)).tolist()] == expected


@pytest.mark.parametrize("words", [(0, 0), (1, 2, 3), (MAX_SEED, 0, MAX_SEED), (2**40 + 17, 5, 1)])
def test_agrees_with_unbounded_integers(words: tuple[int, ...]) -> None:
    assert int(counter_hash(*words)) & MASK == chained(*words)
    assert int(counter_hash(*words[:-1], torch.tensor([words[-1]]))[0]) & MASK == chained(*words)
    for bound in (2, 9, 1000):
        assert int(draw_below(bound, *words)) == (chained(*words) >> 32) * bound >> 32


def test_names_are_words_of_their_own() -> None:
    assert int(counter_hash("row")) & MASK == chained(int.from_bytes(b"row", "little"))
    assert len({int(counter_hash(0, name)) for name in ("row", "column", "flip", "order", "split", "test")}) == 6


def test_order_of_words_matters() -> None:
    assert int(counter_hash(1, 2)) != int(counter_hash(2, 1))


def test_no_draw_is_likelier() -> None:
    for bound in (2, 9, 162):
        counts = draw_below(bound, 0, "row", torch.arange(100_000)).bincount(minlength=bound)
        assert len(counts) == bound
        assert chisquare(counts.numpy()).pvalue > 0.001


def draws(seed: int = 3, name: str = "row", epoch: int = 7, view: int = 0, first: int = 0) -> Tensor:
    return draw_below(9, seed, name, epoch, view, torch.arange(first, first + 50_000))


NEIGHBOURS = {
    "seed": draws(seed=4),
    "draw": draws(name="column"),
    "epoch": draws(epoch=8),
    "view": draws(view=1),
    "sample": draws(first=1),
    "epoch and sample": draws(epoch=8, first=1),
    "epoch for sample": draws(epoch=6, first=1),
    "seed for epoch": draws(seed=4, epoch=6),
}


@pytest.mark.parametrize("what", NEIGHBOURS)
def test_neighbours_are_independent(what: str) -> None:
    pairs = (draws() * 9 + NEIGHBOURS[what]).bincount(minlength=81).reshape(9, 9)
    assert chi2_contingency(pairs.numpy()).pvalue > 0.001


def test_every_bit_is_fair_and_follows_no_other() -> None:
    hashed = counter_hash(0, torch.arange(20_000))
    bits = torch.stack([(hashed >> place) & 1 for place in range(64)]).double() - 0.5
    correlation = 4 * bits @ bits.T / bits.shape[1]
    off = correlation[~torch.eye(64, dtype=torch.bool)].abs().max()
    # Standard deviation of each is 1/sqrt(20000) = 0.007; 2016 pairs and 64 means stay within 5 of them.
    assert off < 0.036
    assert (2 * bits.mean(1)).abs().max() < 0.036


def test_broadcasts_over_tensors() -> None:
    seeds, index = torch.arange(3)[:, None], torch.arange(4)
    grid = counter_hash(seeds, "row", index)
    assert grid.shape == (3, 4)
    for seed, sample in itertools.product(range(3), range(4)):
        assert int(grid[seed, sample]) == int(counter_hash(seed, "row", sample))


def test_name_of_nine_characters_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 8 ASCII characters; got 'ninechars'"):
        counter_hash("ninechars")
