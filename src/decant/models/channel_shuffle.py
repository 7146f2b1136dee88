"""The channel shuffle of both ShuffleNets."""

from torch import Tensor


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """Interleave the channels of ``groups`` equal groups: (N, C, H, W) -> the same shape.

    >>> import torch
    >>> channel_shuffle(torch.arange(6).reshape(1, 6, 1, 1), groups=2).flatten().tolist()
    [0, 3, 1, 4, 2, 5]
    """
    samples, channels, height, width = x.shape
    grouped = x.reshape(samples, groups, channels // groups, height, width)
    return grouped.transpose(1, 2).reshape(x.shape)
