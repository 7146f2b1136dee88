"""Learnable bridges from the student's features to the teacher's: trained with the student, and no part of it."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Shape = tuple[int, ...]


def hint_regressor(student: Shape, teacher: Shape) -> nn.Sequential:
    """A convolution from maps (C, H, W) of the student to the teacher's channels and size, then BN and ReLU.

    Where the student's map is twice as large it is a 3x3 convolution of stride 2; where it is r times smaller, a
    transposed one of stride r; else its kernel is what the difference of sizes asks for, 1x1 for none.

    Raises:
        ValueError: the student's map is smaller, but not a whole number of times.
    """
    (in_channels, *size), (channels, *goal) = student, teacher
    sides = list(zip(size, goal, strict=True))
    if all(mine >= theirs for mine, theirs in sides):
        fits = [(3, 2, 1) if mine == 2 * theirs else (1 + mine - theirs, 1, 0) for mine, theirs in sides]
        kernel, stride, padding = zip(*fits, strict=True)
        bridge: nn.Module = nn.Conv2d(in_channels, channels, kernel, stride, padding)
    elif all(theirs % mine == 0 for mine, theirs in sides):
        ratios = [theirs // mine for mine, theirs in sides]
        fits = [(2 * ratio - ratio % 2, ratio, ratio // 2) for ratio in ratios]
        kernel, stride, padding = zip(*fits, strict=True)
        bridge = nn.ConvTranspose2d(in_channels, channels, kernel, stride, padding)
    else:
        raise ValueError(
            f"no convolution takes the student's map of {size[0]}x{size[1]} to the teacher's {goal[0]}x{goal[1]}: it "
            "must be larger, as large, or smaller a whole number of times; compare another stage"
        )
    return nn.Sequential(bridge, nn.BatchNorm2d(channels), nn.ReLU())


def connector(in_channels: int, channels: int) -> nn.Sequential:
    """A 1x1 convolution and BN, without ReLU: to the teacher's channels before its activation."""
    convolution = nn.Conv2d(in_channels, channels, 1, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(convolution, nn.BatchNorm2d(channels))


def mean_regressor(in_channels: int, channels: int) -> nn.Sequential:
    """Three 1x1 convolutions with ReLUs between them: a prediction of the teacher's feature at every position."""
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 1, bias=False),
        nn.ReLU(),
        nn.Conv2d(channels, channels, 1, bias=False),
        nn.ReLU(),
        nn.Conv2d(channels, channels, 1, bias=False),
    )


def projector(in_channels: int, channels: int, factor: int) -> nn.Sequential:
    """1x1, 3x3 and 1x1 convolutions, each with BN and ReLU, ``factor`` times narrower inside than ``channels``."""
    inside = channels // factor
    layers: list[nn.Module] = []
    for before, after, kernel in ((in_channels, inside, 1), (inside, inside, 3), (inside, channels, 1)):
        convolution = nn.Conv2d(before, after, kernel, padding=kernel // 2, bias=False)
        layers += [convolution, nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers)


class Embedding(nn.Module):
    """A linear map of vectors (N, D) onto the unit sphere of ``dimension`` dimensions."""

    def __init__(self, in_features: int, dimension: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, dimension)

    def forward(self, features: Tensor) -> Tensor:
        """Unit vectors (N, dimension), in float32 or wider."""
        embedded: Tensor = self.linear(features)
        return F.normalize(embedded.float() if embedded.dtype != torch.float64 else embedded, dim=1)


class AttentionFusion(nn.Module):
    """One level of knowledge review: a student's stage joined with what the deeper stages left, by learned attention.

    Source: Chen, Liu, Zhao, Jia, *Distilling Knowledge via Knowledge Review*, CVPR 2021, arXiv:2104.09044, section 3.3.

    Args:
        in_channels: channels of the student's stage.
        width: channels of what is passed from level to level.
        channels: channels of the teacher's stage.
        size: height and width of the teacher's stage; None where both networks' maps have one size at this level.
        deepest: whether no deeper level comes before this one.
    """

    def __init__(
        self, in_channels: int, width: int, channels: int, size: tuple[int, int] | None, *, deepest: bool
    ) -> None:
        super().__init__()
        enter, leave = (
            nn.Conv2d(in_channels, width, 1, bias=False),
            nn.Conv2d(width, channels, 3, padding=1, bias=False),
        )
        for convolution in (enter, leave):
            nn.init.kaiming_uniform_(convolution.weight, a=1)
        self.enter = nn.Sequential(enter, nn.BatchNorm2d(width))
        self.attention = None if deepest else nn.Sequential(nn.Conv2d(2 * width, 2, 1), nn.Sigmoid())
        self.leave = nn.Sequential(leave, nn.BatchNorm2d(channels))
        self.size = size

    def forward(self, stage: Tensor, deeper: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The feature to compare, (N, channels, *size), and what the next level takes, (N, width, *size)."""
        joined: Tensor = self.enter(stage)
        if self.attention is not None and deeper is not None:
            deeper = F.interpolate(deeper, joined.shape[2:])
            own, other = self.attention(torch.cat([joined, deeper], dim=1)).split(1, dim=1)
            joined = joined * own + deeper * other
        if self.size is not None and joined.shape[2:] != self.size:
            joined = F.interpolate(joined, self.size)
        return self.leave(joined), joined
