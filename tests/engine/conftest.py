from functools import partial

import pytest
from torch import nn

from decant.models import TINY
from engine.tiny import Plain
from engine.toy_methods import network


@pytest.fixture
def plain_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two more networks by name: without BatchNorm, and with dropout too."""
    monkeypatch.setitem(TINY, "plain", Plain)
    monkeypatch.setitem(TINY, "with_dropout", partial(Plain, dropout=0.5))


@pytest.fixture
def student() -> nn.Sequential:
    return network(5, seed=1)


@pytest.fixture
def teacher() -> nn.Sequential:
    return network(9, seed=2)
