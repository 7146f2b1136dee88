"""The linear warm-up of the CIFAR-100 protocol."""

import math


def linear_warmup(epoch: float, epochs: int) -> float:
    """Factor min((floor(epoch) + 1) / epochs, 1), where ``epoch`` counts completed epochs; 1 where ``epochs`` is 0.

    The factor is constant inside an epoch, as in the published protocol.

    >>> linear_warmup(0.5, 20), linear_warmup(9.0, 20), linear_warmup(30.0, 20)
    (0.05, 0.5, 1.0)
    """
    return min((math.floor(epoch) + 1) / epochs, 1.0) if epochs else 1.0
