"""Random numbers without state: a hash of counters, the same in any batch, order and process and on any device.

A draw is named by words (a seed, what is drawn, an epoch, a sample ...). Every word picks one output of the SplitMix64
stream whose seed is the hash of the words before it (Steele, Lea, Flood, "Fast splittable pseudorandom number
generators", OOPSLA 2014). All of it is integer arithmetic modulo 2**64, so CPU and GPU agree in every bit.
"""

import torch
from torch import Tensor

MAX_SEED = 2**63 - 1
"""Seeds are 0 to this: what fits in the int64 that the arithmetic is done in."""


def _signed(word: int) -> int:
    """The int64 with the bits of an unsigned 64-bit number, which torch has no arithmetic for."""
    return word - 2**64 if word >= 2**63 else word


_GAMMA = _signed(0x9E3779B97F4A7C15)
_MULTIPLY_FIRST = _signed(0xBF58476D1CE4E5B9)
_MULTIPLY_SECOND = _signed(0x94D049BB133111EB)


def _shift_right(word: Tensor, bits: int) -> Tensor:
    """Logical shift: torch's keeps the sign, so the bits that it brings in are masked away."""
    return (word >> bits) & ((1 << (64 - bits)) - 1)


def _finalise(word: Tensor) -> Tensor:
    word = (word ^ _shift_right(word, 30)) * _MULTIPLY_FIRST
    word = (word ^ _shift_right(word, 27)) * _MULTIPLY_SECOND
    return word ^ _shift_right(word, 31)


def counter_hash(*words: int | str | Tensor) -> Tensor:
    """64 random bits for each combination of ``words``.

    Args:
        words: whole numbers (0 to ``MAX_SEED``), names of at most 8 ASCII characters, or int64 tensors that broadcast.

    Returns:
        int64, the broadcast shape of the tensors among ``words``, on their device.

    Example:
        >>> counter_hash(0, "row", torch.tensor([5, 6])).tolist() == [int(counter_hash(0, "row", i)) for i in (5, 6)]
        True
    """
    # The words before the first tensor make one number; on the CPU it enters the device's arithmetic like a constant.
    state = torch.zeros((), dtype=torch.int64, device="cpu")
    for word in words:
        if isinstance(word, str):
            if len(word) > 8 or not word.isascii():
                raise ValueError(f"what is drawn has a name of at most 8 ASCII characters; got {word!r}")
            word = int.from_bytes(word.encode("ascii").ljust(8, b"\0"), "little")
        counter = word if isinstance(word, Tensor) else torch.tensor(word, dtype=torch.int64, device="cpu")
        state = _finalise(state + _GAMMA * (counter + 1))
    return state


def draw_below(bound: int, *words: int | str | Tensor) -> Tensor:
    """A whole number from 0 to ``bound - 1`` for each combination of ``words``.

    It is floor(bound u), with u the upper 32 bits of the hash over 2**32: no two values differ in probability by more
    than 2**-32. ``bound`` is at most 2**31, ``words`` as in :func:`counter_hash`.
    """
    return (_shift_right(counter_hash(*words), 32) * bound) >> 32
