from dataclasses import replace

import pytest
import torch

from decant.engine.linear_probe import PROTOCOL, linear_probe
from decant.engine.predictions import Predictions
from engine.tiny import on_cpu

SHORT = replace(PROTOCOL, epochs=5)


def said(seed: int, *, apart: float, size: int = 200) -> Predictions:
    """Features of three classes, each around a point of its own, on axes of very different length."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.arange(size) % 3
    centres = apart * torch.eye(3, 6)
    feature = centres[target] + torch.randn(size, 6, generator=generator)
    return Predictions(torch.zeros(size, 3), target, feature * torch.tensor([1e3, 1.0, 1e-3, 1.0, 1.0, 0.0]) + 5)


def test_features_that_tell_classes_apart_are_worth_more_than_noise() -> None:
    good, nothing = (
        linear_probe(said(0, apart=apart), said(1, apart=apart), seed=0, parallel=on_cpu(), settings=SHORT)
        for apart in (6.0, 0.0)
    )
    assert good > 97
    assert nothing < 50


def test_the_same_seed_gives_the_same_number_and_nobody_s_random_state_moves() -> None:
    state = torch.get_rng_state()
    scores = {
        linear_probe(said(0, apart=1.0), said(1, apart=1.0), seed=3, parallel=on_cpu(), settings=SHORT)
        for _ in range(2)
    }
    assert len(scores) == 1
    assert torch.equal(torch.get_rng_state(), state)


def test_the_protocol_has_no_weight_decay_and_needs_features() -> None:
    assert PROTOCOL.weight_decay == 0
    bare = Predictions(torch.zeros(2, 3), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="a probe needs features of one size"):
        linear_probe(bare, bare, seed=0, parallel=on_cpu())
