"""Where the tokens of a feature lie in the image."""

import math
from collections.abc import Iterator

from torch import nn

from decant.interfaces import TokenGrid
from decant.models.unlike import Resighted

MOST_PREFIX_TOKENS = 8
"""Of a network that does not say how many it has; with as many, any grid from 4x4 on is still told rightly."""


def token_grid(network: nn.Module, path: str, tokens: int, images: tuple[int, int]) -> TokenGrid | None:
    """The grid that the tokens (N, L, D) of the module at ``path`` make, row by row; None where they make none.

    A grid has the images' height : width. Before it stand as many tokens as the innermost module around the tapped one
    says in an attribute ``num_prefix_tokens`` (as timm's networks do), or none, where they join later; where no module
    says it, the fewest that leave a grid, at most 8.

    Args:
        network: what was run.
        path: of the tapped module.
        tokens: L.
        images: height and width of what the network was given.

    >>> token_grid(nn.Sequential(nn.Identity()), "0", 197, (224, 224))
    TokenGrid(prefix=1, height=14, width=14)
    >>> token_grid(nn.Sequential(nn.Identity()), "0", 12, (32, 96))
    TokenGrid(prefix=0, height=2, width=6)
    """
    told: int | None = None
    for module in _around(network, path):
        count = getattr(module, "num_prefix_tokens", None)
        if isinstance(count, int):
            told = count
        if isinstance(module, Resighted) and module.size is not None:
            images = module.size
    for prefix in range(MOST_PREFIX_TOKENS + 1) if told is None else (told, 0):
        if (size := _size(tokens - prefix, images)) is not None:
            return TokenGrid(prefix, *size)
    return None


def _around(network: nn.Module, path: str) -> Iterator[nn.Module]:
    """The modules on the way to the one at ``path``, and that one."""
    yield network
    for name in path.split(".") if path else ():
        network = network.get_submodule(name)
        yield network


def _size(places: int, images: tuple[int, int]) -> tuple[int, int] | None:
    """Height and width of the one grid of so many places that has the images' shape."""
    divisor = math.gcd(*images)
    if places < 1 or divisor < 1:
        return None
    height, width = images[0] // divisor, images[1] // divisor
    times = math.isqrt(places // (height * width))
    return (height * times, width * times) if height * width * times**2 == places else None
