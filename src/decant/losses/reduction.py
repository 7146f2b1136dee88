"""From one value per position to what is returned: mean, sum or none, over the positions that count."""

from typing import Literal, get_args

from torch import Tensor

Reduction = Literal["mean", "sum", "none"]
_REDUCTIONS = get_args(Reduction)


def check_reduction(reduction: str) -> None:
    """ValueError unless the name is known; called before any work is done."""
    if reduction not in _REDUCTIONS:
        raise ValueError(f"reduction must be one of {', '.join(_REDUCTIONS)}, got {reduction!r}")


def leave_out(logits: Tensor, counted: Tensor | None) -> Tensor:
    """Logits (N, C, ...) that are constant 0 where a position (N, ...) does not count; None counts all.

    Done to both networks, this makes such a position a student that copies its teacher: its loss and its gradient are
    exactly 0 whatever it held, NaN included. Zeroing its loss afterwards would send 0 * NaN back.
    """
    return logits if counted is None else logits.masked_fill(~counted.unsqueeze(1), 0.0)


def reduce(values: Tensor, reduction: Reduction, counted: Tensor | None = None) -> Tensor:
    """Values (N, ...), 0 where not counted -> a scalar, or the values themselves; the mean of nothing is 0."""
    if reduction == "none":
        return values
    if reduction == "sum":
        return values.sum()
    if counted is None:
        return values.sum() / max(values.numel(), 1)
    return values.sum() / counted.sum().clamp(min=1)
