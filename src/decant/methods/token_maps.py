"""Tokens of transformers as maps, for methods that compare maps."""

from collections.abc import Mapping

from torch import Tensor

from decant.interfaces import BuildContext, Outputs, Shapes, TokenGrid
from decant.methods.stages import map_shape

Grids = Mapping[str, TokenGrid]


def token_grids(context: BuildContext, method: str, taps: tuple[str, ...]) -> tuple[Grids, Grids]:
    """Of those features that are tokens, by tap, the student's and the teacher's.

    Raises:
        ValueError: tokens that make no grid.
    """
    return (
        _grids(method, "student", context.student_shapes, taps),
        _grids(method, "teacher", context.teacher_shapes, taps),
    )


def _grids(method: str, role: str, shapes: Shapes | None, taps: tuple[str, ...]) -> Grids:
    if shapes is None:
        return {}
    tokens = [tap for tap in taps if len(shapes.taps[tap]) == 2]
    for tap in tokens:
        map_shape(shapes, tap, method, role)  # refuses those that have no grid
    return {tap: shapes.grids[tap] for tap in tokens}


def with_maps(outputs: Outputs, grids: Grids) -> Outputs:
    """The outputs with tokens (N, L, D) as maps (N, D, height, width); all other features as they are."""
    if not grids:
        return outputs
    taps = {tap: _map(tap, feature, grids.get(tap)) for tap, feature in outputs.taps.items()}
    return Outputs(outputs.logits, taps, outputs.more)


def _map(tap: str, feature: Tensor, grid: TokenGrid | None) -> Tensor:
    if grid is None:
        return feature
    if feature.ndim != 3 or feature.shape[1] != grid.prefix + grid.height * grid.width:
        raise ValueError(
            f"{tap!r} must be tokens (N, {grid.prefix} + {grid.height} x {grid.width}, D), which the method was built "
            f"for, got shape {tuple(feature.shape)}; give images of the example's size"
        )
    maps: Tensor = feature[:, grid.prefix :].mT.unflatten(2, (grid.height, grid.width))
    return maps
